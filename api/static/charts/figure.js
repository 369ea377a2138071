// One line chart: draws the SVG and the legend that api/charts/line.py draws, at the size it has on
// this screen, and reads values off it under the pointer or by arrow keys.
import { fit, label, span } from "./scale.js";
import { smoothed, thinned } from "./points.js";

const SVG = "http://www.w3.org/2000/svg";
const ROOM = { left: 64, right: 12, top: 12, bottom: 40 };
const MARKS_UP_TO = 25;

function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function html(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export class Figure {
  // `onRead(x)` is told where a reader points, or null: charts of one set move together.
  constructor(chart, onRead) {
    this.chart = chart;
    this.onRead = onRead;
    this.lines = [];
    this.title = html("span", {});
    this.legend = html("ul", { class: "legend" });
    this.plot = html("div", { class: "plot", role: "slider", tabindex: "0", "aria-valuemin": "0" });
    this.element = html("figure", { class: chart.wide ? "chart chart-wide" : "chart", id: chart.id },
      html("figcaption", {}, this.title, this.legend), this.plot);
    this.plot.addEventListener("pointermove", (event) => this.#point(event));
    this.plot.addEventListener("pointerleave", () => this.onRead(null));
    this.plot.addEventListener("keydown", (event) => this.#key(event));
    this.plot.addEventListener("blur", () => this.onRead(null));
  }

  // `lines`: name, classes, href, xs, ys (null where not finite). `options`: xLabel, smooth, isLog.
  draw(lines, options) {
    this.options = options;
    this.lines = lines.map((line) => ({
      ...line, smooth: options.smooth > 0 ? smoothed(line.ys, options.smooth) : line.ys,
    }));
    this.title.textContent = this.chart.title;
    this.#drawLegend();
    this.#drawPlot();
    this.read(this.at ?? null);
  }

  // Entries stay the same elements while the curves do: somebody's focus may be on one.
  #drawLegend() {
    const key = JSON.stringify(this.lines.map((line) => [line.name, line.classes, line.href]));
    if (key !== this.legendKey) {
      this.legendKey = key;
      this.legend.replaceChildren(...this.lines.map(legendItem));
    }
    this.lines.forEach((line, i) => {
      const item = this.legend.children[i];
      line.value = item.querySelector("b");
      const bad = line.ys.filter((y) => !Number.isFinite(y)).length;
      const badge = item.querySelector("[data-nan]");
      badge.hidden = bad === 0;
      badge.textContent = `NaN ×${bad}`;
    });
  }

  #drawPlot() {
    const width = Math.max(240, Math.round(this.plot.clientWidth || 400));
    const height = this.chart.wide ? 320 : 240;
    const xs = this.lines.flatMap((line) => line.xs);
    this.xScale = span(xs, ROOM.left, width - ROOM.right);
    const ys = this.lines.flatMap((line) => line.ys.filter(Number.isFinite));
    this.yScale = fit(ys, height - ROOM.bottom, ROOM.top, this.options.isLog, 0.08);
    this.stops = [...new Set(xs)].sort((a, b) => a - b);
    this.height = height;
    const isSmooth = this.options.smooth > 0;
    this.pointer = svg("g", { class: "pointer" });
    this.svg = svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
      ...this.#grid(width, height),
      ...(isSmooth ? this.lines.map((line) => this.#curve(line, line.ys, " raw")) : []),
      ...this.lines.map((line) => this.#curve(line, line.smooth, "")),
      this.pointer);
    this.plot.replaceChildren(this.svg);
    this.plot.setAttribute("aria-valuemax", String(Math.max(0, this.stops.length - 1)));
  }

  #grid(width, height) {
    const parts = [];
    const bottom = height - ROOM.bottom;
    for (const tick of this.yScale.ticks(5)) {
      const y = this.yScale.position(tick).toFixed(1);
      parts.push(svg("line", { class: "grid", x1: ROOM.left, x2: width - ROOM.right, y1: y, y2: y }));
      parts.push(svg("text", { class: "tick", x: ROOM.left - 8, y: Number(y) + 4, "text-anchor": "end" },
        label(tick)));
    }
    const whole = this.xScale.high - this.xScale.low >= 2 && this.options.xLabel !== "time (s)";
    for (const tick of this.xScale.ticks(Math.max(4, Math.round(width / 90)))) {
      if (whole && !Number.isInteger(tick)) continue;
      parts.push(svg("text", { class: "tick", x: this.xScale.position(tick).toFixed(1), y: bottom + 16,
        "text-anchor": "middle" }, label(tick)));
    }
    parts.push(svg("line", { class: "axis", x1: ROOM.left, x2: width - ROOM.right, y1: bottom, y2: bottom }));
    parts.push(svg("text", { class: "axis-label", x: (ROOM.left + width - ROOM.right) / 2, y: height - 4,
      "text-anchor": "middle" }, this.options.xLabel));
    return parts;
  }

  #curve(line, ys, kind) {
    let path = "";
    let isDown = false;
    const group = svg("g", { class: `series ${line.classes}${kind}` });
    for (const i of thinned(ys, 800)) {
      if (!Number.isFinite(ys[i]) || (this.yScale.isLog && ys[i] <= 0)) {
        isDown = false;
        continue;
      }
      const [x, y] = [this.xScale.position(line.xs[i]).toFixed(1), this.yScale.position(ys[i]).toFixed(1)];
      path += `${isDown ? "L" : "M"}${x} ${y}`;
      isDown = true;
      if (!kind && ys.length <= MARKS_UP_TO) group.append(svg("circle", { class: "mark", cx: x, cy: y, r: 2.5 }));
    }
    group.prepend(svg("path", { d: path }));
    return group;
  }

  // Shows every curve's value at x, or the newest values for null.
  read(x) {
    this.at = x;
    this.pointer.replaceChildren();
    const said = [];
    for (const line of this.lines) {
      const i = x === null ? lastFinite(line.ys) : nearest(line.xs, x);
      const y = i < 0 ? null : (x === null ? line.ys : line.smooth)[i];
      line.value.textContent = i < 0 ? "–" : Number.isFinite(y) ? label(y) : "NaN";
      said.push(`${line.name} ${line.value.textContent}`);
      if (x !== null && Number.isFinite(y) && !(this.yScale.isLog && y <= 0)) this.#dot(line, line.xs[i], y);
    }
    const { xLabel } = this.options;
    if (x !== null) {
      const at = this.xScale.position(x).toFixed(1);
      this.pointer.prepend(svg("line", { x1: at, x2: at, y1: ROOM.top, y2: this.height - ROOM.bottom }));
    }
    const smooth = this.options.smooth > 0 ? ", smoothed" : "";
    const where = x === null ? "newest values" : `${xLabel} ${label(x)}${smooth}`;
    this.title.textContent = x === null ? this.chart.title : `${this.chart.title} · ${where}`;
    this.plot.setAttribute("aria-label", `${this.chart.title}: arrow keys read values`);
    this.plot.setAttribute("aria-valuetext", `${where}: ${said.slice(0, 8).join(", ")}`);
    this.plot.setAttribute("aria-valuenow", String(Math.max(0, x === null ? this.stops.length - 1 : this.stops.indexOf(x))));
  }

  #dot(line, x, y) {
    const [cx, cy] = [this.xScale.position(x).toFixed(1), this.yScale.position(y).toFixed(1)];
    this.pointer.append(svg("circle", { class: line.classes, cx, cy, r: 4 }));
  }

  #point(event) {
    if (!this.stops.length) return;
    const box = this.svg.getBoundingClientRect();
    const at = (event.clientX - box.left) * (this.svg.viewBox.baseVal.width / box.width);
    const share = (at - this.xScale.start) / (this.xScale.end - this.xScale.start);
    const x = this.xScale.low + share * (this.xScale.high - this.xScale.low);
    this.onRead(this.stops[nearest(this.stops, x)]);
  }

  #key(event) {
    const last = this.stops.length - 1;
    const here = Number(this.plot.getAttribute("aria-valuenow"));
    const to = { ArrowLeft: here - 1, ArrowRight: here + 1, ArrowDown: here - 1, ArrowUp: here + 1,
      PageUp: here + 10, PageDown: here - 10, Home: 0, End: last }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    this.onRead(this.stops[Math.min(Math.max(to, 0), last)]);
  }
}

function legendItem(line) {
  const name = line.href ? html("a", { href: line.href }, line.name) : html("span", {}, line.name);
  const badge = html("span", { class: "nan", "data-nan": "", title: "values that were not finite" });
  return html("li", { class: line.classes, "data-name": line.name },
    html("i", { "aria-hidden": "true" }), name, " ", html("b", {}), " ", badge);
}

function lastFinite(ys) {
  for (let i = ys.length - 1; i >= 0; i -= 1) if (Number.isFinite(ys[i])) return i;
  return -1;
}

function nearest(xs, x) {
  let best = -1;
  for (let i = 0; i < xs.length; i += 1) {
    if (best < 0 || Math.abs(xs[i] - x) < Math.abs(xs[best] - x)) best = i;
  }
  return best;
}
