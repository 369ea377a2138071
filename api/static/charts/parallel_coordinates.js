// Brushes on parallel coordinates: drag along an axis, or move its two handles with the arrow keys.
// What a brush leaves out fades here, in the table and among the dots. The server draws the rest,
// also anew when something changed; see ../../charts/parallel_coordinates.py.
const SVG = "http://www.w3.org/2000/svg";
const STEP = 0.02;
const BIG_STEP = 0.1;
const SMALLEST_DRAG = 0.01;
const NEAR_PX = 26;

function svg(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

const within = (value) => Math.min(1, Math.max(0, value));

// What an axis says of itself, read again whenever the server has drawn it anew.
function readAxis(group) {
  const { axis: name, x, kind, low, high, words } = group.dataset;
  return { name, x: Number(x), kind, low: Number(low), high: Number(high),
    words: words ? words.split("\n") : [] };
}

// A share of an axis as a person would say it.
function valueText(axis, share) {
  if (axis.kind === "words") {
    const place = Math.min(axis.words.length - 1, Math.floor(share * axis.words.length));
    return axis.words[place];
  }
  const value = axis.kind === "log"
    ? 10 ** (Math.log10(axis.low) + share * (Math.log10(axis.high) - Math.log10(axis.low)))
    : axis.low + share * (axis.high - axis.low);
  return String(Number(value.toPrecision(3)));
}

export class ParallelCoordinates {
  constructor(figure) {
    this.figure = figure;
    this.brushes = new Map(); // by the axis's name: [low, high] as shares
    this.parts = new Map(); // by the axis's name: what is drawn for it
    this.refresh();
  }

  get picture() { return this.figure.querySelector("svg"); }
  get overlay() { return this.figure.querySelector("#parallel-brushes"); }
  get status() { return this.figure.querySelector("#parallel-status"); }

  // Read what the server drew, and lay the brushes over it.
  refresh() {
    this.top = Number(this.figure.dataset.top);
    this.bottom = Number(this.figure.dataset.bottom);
    this.axes = [...this.figure.querySelectorAll("[data-axis]")].map(readAxis);
    const names = new Set(this.axes.map((axis) => axis.name));
    for (const name of [...this.parts.keys()]) {
      if (!names.has(name)) {
        this.parts.get(name).group.remove();
        this.parts.delete(name);
        this.brushes.delete(name);
      }
    }
    for (const axis of this.axes) {
      if (!this.parts.has(axis.name)) this.parts.set(axis.name, this.makePart(axis));
      this.place(axis);
    }
    this.fade();
  }

  toY(share) { return this.bottom - share * (this.bottom - this.top); }

  shareAt(event) {
    const box = this.picture.getBoundingClientRect();
    const y = (event.clientY - box.top) * (this.picture.viewBox.baseVal.height / box.height);
    return within((this.bottom - y) / (this.bottom - this.top));
  }

  makePart(axis) {
    const group = svg("g", { "data-brush": axis.name });
    const area = svg("rect", { class: "brush-area", width: 2 * NEAR_PX });
    const brush = svg("rect", { class: "brush", width: 14 });
    const handles = ["lowest", "highest"].map((which, end) => {
      const handle = svg("rect", { class: "brush-handle", width: 18, height: 8, rx: 2, tabindex: 0,
        role: "slider", "aria-orientation": "vertical", "aria-valuemin": 0, "aria-valuemax": 100,
        "aria-label": `${axis.name}, ${which} shown` });
      handle.addEventListener("keydown", (event) => this.pressed(event, axis.name, end));
      handle.addEventListener("pointerdown", (event) => this.dragHandle(event, axis.name, end));
      return handle;
    });
    area.addEventListener("pointerdown", (event) => this.dragArea(event, axis.name));
    area.addEventListener("dblclick", () => this.set(axis.name, null));
    group.append(area, brush, ...handles);
    this.overlay.append(group);
    return { group, area, brush, handles };
  }

  place(axis) {
    const { area, brush, handles } = this.parts.get(axis.name);
    const [low, high] = this.brushes.get(axis.name) ?? [0, 1];
    const set = (element, values) => {
      for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
    };
    set(area, { x: axis.x - NEAR_PX, y: this.top - 8, height: this.bottom - this.top + 16 });
    set(brush, { x: axis.x - 7, y: this.toY(high), height: Math.max(0, this.toY(low) - this.toY(high)) });
    brush.classList.toggle("hidden", !this.brushes.has(axis.name));
    brush.setAttribute("visibility", this.brushes.has(axis.name) ? "visible" : "hidden");
    [low, high].forEach((share, end) => {
      set(handles[end], { x: axis.x - 9, y: this.toY(share) - (end ? 8 : 0),
        "aria-valuenow": Math.round(share * 100), "aria-valuetext": valueText(axis, share) });
      handles[end].classList.toggle("at-end", share === end);
    });
  }

  axis(name) { return this.axes.find((axis) => axis.name === name); }

  // `range` is [low, high] as shares of the axis, or null for all of it.
  set(name, range) {
    if (!range || (range[0] <= 0 && range[1] >= 1)) this.brushes.delete(name);
    else this.brushes.set(name, range);
    this.place(this.axis(name));
    this.fade();
  }

  move(name, end, share) {
    const range = [...(this.brushes.get(name) ?? [0, 1])];
    range[end] = end ? Math.max(within(share), range[0]) : Math.min(within(share), range[1]);
    this.set(name, range);
  }

  pressed(event, name, end) {
    const axis = this.axis(name);
    const here = (this.brushes.get(name) ?? [0, 1])[end];
    const step = axis.kind === "words" ? 1 / axis.words.length : event.shiftKey ? BIG_STEP : STEP;
    const there = { ArrowUp: here + step, ArrowRight: here + step, ArrowDown: here - step,
      ArrowLeft: here - step, PageUp: here + BIG_STEP, PageDown: here - BIG_STEP, Home: 0, End: 1 };
    if (event.key === "Escape") this.set(name, null);
    else if (event.key in there) this.move(name, end, Number(there[event.key].toFixed(4)));
    else return;
    event.preventDefault();
  }

  follow(event, moved, done) {
    const target = event.currentTarget;
    target.setPointerCapture(event.pointerId);
    target.onpointermove = (next) => moved(this.shareAt(next));
    target.onpointerup = target.onpointercancel = () => {
      target.onpointermove = target.onpointerup = target.onpointercancel = null;
      done?.();
    };
    event.preventDefault();
  }

  dragHandle(event, name, end) {
    event.currentTarget.focus();
    this.follow(event, (share) => this.move(name, end, share));
  }

  dragArea(event, name) {
    if (event.button !== 0) return;
    const from = this.shareAt(event);
    let last = from;
    const moved = (share) => {
      last = share;
      this.set(name, [Math.min(from, share), Math.max(from, share)]);
    };
    // A click beside a brush takes it away.
    this.follow(event, moved, () => { if (Math.abs(last - from) < SMALLEST_DRAG) this.set(name, null); });
  }

  isShown(path) {
    const shares = path.dataset.at.split(" ").map((text) => (text === "-" ? null : Number(text)));
    return this.axes.every((axis, index) => {
      const range = this.brushes.get(axis.name);
      if (!range) return true;
      const share = shares[index];
      return share !== null && share >= range[0] - 1e-4 && share <= range[1] + 1e-4;
    });
  }

  fade() {
    const out = new Set();
    const threads = [...this.figure.querySelectorAll(".thread")];
    for (const path of threads) if (!this.isShown(path)) out.add(path.dataset.trial);
    for (const element of document.querySelectorAll(
      ".thread[data-trial], .dot[data-trial], #compare-table tr[data-trial]",
    )) element.classList.toggle("faded", out.has(element.dataset.trial));
    this.say(threads.length - out.size, threads.length);
    // A page may list what is picked.
    const picked = threads.map((path) => path.dataset.trial).filter((trial) => !out.has(trial));
    document.dispatchEvent(new CustomEvent("labpool:brushed",
      { detail: { isBrushed: this.brushes.size > 0, picked } }));
  }

  say(shown, count) {
    const status = this.status;
    if (this.brushes.size === 0) {
      status.textContent = "Drag along an axis to pick trials, or move its handles with the arrow keys.";
      return;
    }
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain";
    button.dataset.clearBrushes = "";
    button.textContent = "Show all";
    button.addEventListener("click", () => {
      for (const name of [...this.brushes.keys()]) this.set(name, null);
    });
    status.replaceChildren(`${shown} of ${count} trials picked.`, button);
  }
}

let parallel = null;

function begin() {
  const figure = document.querySelector("[data-parallel]");
  if (!figure) parallel = null;
  else if (parallel?.figure === figure) parallel.refresh();
  else parallel = new ParallelCoordinates(figure);
}

begin();
document.addEventListener("labpool:refreshed", begin);
document.addEventListener("labpool:drawn", begin);
