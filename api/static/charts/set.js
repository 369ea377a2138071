// Sets of charts that share their controls: takes over from the server's drawing, keeps the curves
// current from the metrics in increments, and the reader's choices in the address.
import { Figure } from "./figure.js";
import { TrialPoints, hasEpochs, positions } from "./points.js";
import { saveCsv, saveSvg } from "./download.js";

const X_LABELS = { epoch: "epoch", step: "step", time: "time (s)" };

class ChartSet {
  constructor(element) {
    this.element = element;
    this.form = element.querySelector(".chart-controls");
    this.room = element.querySelector(".charts");
    this.trials = new Map();
    this.figures = new Map();
    this.metrics = element.dataset.metrics;
    this.form.addEventListener("input", () => this.#chosen());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#chosen();
    });
    // From here on the controls are the reader's; a fragment may come before the first drawing.
    this.form.dataset.keep = "";
    this.form.querySelector("[data-apply]").hidden = true;
    for (const button of this.form.querySelectorAll("[data-download]")) {
      button.hidden = false;
      button.addEventListener("click", () => this.#download(button.dataset.download));
    }
    this.drawnMetric = this.options.metric;
    new ResizeObserver(() => this.#resized()).observe(this.room);
    this.refresh();
  }

  get options() {
    const controls = this.form.elements;
    return {
      smooth: Number(controls.smooth.value), isLog: controls.y.checked, x: controls.x.value,
      metric: controls.metric ? controls.metric.value : null,
    };
  }

  get charts() {
    const charts = JSON.parse(this.element.dataset.charts);
    const { metric } = this.options;
    if (!metric) return charts;
    // Only the title and the metric differ: nothing has to be asked of the server for them.
    const title = this.form.elements.metric.selectedOptions[0].textContent;
    return charts.map((chart) => ({
      ...chart, title: title[0].toUpperCase() + title.slice(1), curves: [{ metric }],
    }));
  }

  // What the page says now about trials and charts, and the points that are new.
  async refresh() {
    if (this.busy) {
      this.again = true;
      return;
    }
    this.busy = true;
    try {
      this.#offerMetrics();
      this.#meetTrials();
      const metrics = [...new Set(this.charts.flatMap((chart) => chart.curves.map((curve) => curve.metric)))];
      const asked = [...this.trials.values()].map((trial) => trial.update(metrics));
      const isNew = (await Promise.all(asked)).includes(true);
      this.element.dataset.keep = "children";
      const { sources, charts } = this.element.dataset;
      if (isNew || this.drawn !== sources + charts) this.draw();
      this.drawn = sources + charts;
    } catch {
      // The mark of the page says what is wrong; the next refresh tries again.
    }
    this.busy = false;
    if (this.again) {
      this.again = false;
      this.refresh();
    }
  }

  #meetTrials() {
    const sources = JSON.parse(this.element.dataset.sources);
    const ids = new Set(sources.map((source) => source.id));
    for (const id of this.trials.keys()) if (!ids.has(id)) this.trials.delete(id);
    for (const source of sources) {
      const known = this.trials.get(source.id);
      if (known) {
        // One that has ended is asked once more: its last points came with its end.
        if (known.source.fence !== source.fence) known.complete = false;
        known.source = source;
      } else this.trials.set(source.id, new TrialPoints(source));
    }
  }

  #offerMetrics() {
    const { metric: select } = this.form.elements;
    if (!select || this.metrics === this.element.dataset.metrics) return;
    this.metrics = this.element.dataset.metrics;
    const chosen = select.value;
    select.replaceChildren(...this.metrics.split(",").map((name) => {
      const option = new Option(name.replaceAll("_", " "), name);
      option.selected = name === chosen;
      return option;
    }));
  }

  draw() {
    const options = this.options;
    const charts = this.charts;
    const wanted = charts.map((chart) => this.#figure(chart));
    if (wanted.some((figure, i) => this.room.children[i] !== figure.element)
      || this.room.children.length !== wanted.length) {
      this.room.replaceChildren(...wanted.map((figure) => figure.element));
    }
    wanted.forEach((figure, i) => {
      const lines = this.#lines(charts[i]);
      const x = options.x || (lines.every((line) => hasEpochs(line.curve)) ? "epoch" : "step");
      for (const line of lines) Object.assign(line, { xs: positions(line.curve, x), ys: line.curve.values });
      figure.chart = charts[i];
      figure.draw(lines, { ...options, xLabel: X_LABELS[x] });
    });
  }

  #figure(chart) {
    const known = this.figures.get(chart.id);
    if (known) return known;
    const figure = new Figure(chart, (x) => this.figures.forEach((other) => other.read(x)));
    this.figures.set(chart.id, figure);
    return figure;
  }

  #lines(chart) {
    const lines = [];
    for (const trial of this.trials.values()) {
      for (const wanted of chart.curves) {
        const curve = trial.curve(wanted.metric);
        if (!curve) continue;
        const { source } = trial;
        const colour = wanted.context ? "context" : source.colour;
        lines.push({
          name: wanted.name ?? source.name,
          href: wanted.name ? null : `/trials/${source.id}`,
          classes: `series-${colour}${source.dashed ? " dashed" : ""}`,
          curve,
        });
      }
    }
    return lines;
  }

  #chosen() {
    const { smooth, isLog, x, metric } = this.options;
    this.form.querySelector("output").value = smooth.toFixed(2);
    const address = new URL(window.location.href);
    const keep = { smooth: smooth > 0 ? String(smooth) : "", y: isLog ? "log" : "", x, metric: metric ?? "" };
    for (const [name, value] of Object.entries(keep)) {
      if (value) address.searchParams.set(name, value);
      else address.searchParams.delete(name);
    }
    window.history.replaceState(null, "", address);
    if (metric !== this.drawnMetric) {
      this.drawnMetric = metric;
      this.refresh();
    } else this.draw();
  }

  #resized() {
    const width = this.room.clientWidth;
    if (this.width !== undefined && width !== this.width && this.figures.size) this.draw();
    this.width = width;
  }

  #download(kind) {
    const name = `labpool-${[...this.trials.keys()].slice(0, 5).join("-")}`;
    if (kind === "csv") {
      saveCsv(name, this.trials.values(), this.charts.flatMap((chart) => chart.curves.map((curve) => curve.metric)));
      return;
    }
    for (const figure of this.figures.values()) saveSvg(`${name}-${figure.chart.id.replace("chart-", "")}`, figure);
  }
}

const sets = new Map();

function meetSets() {
  for (const element of document.querySelectorAll("[data-chart-set]")) {
    if (sets.has(element)) sets.get(element).refresh();
    else sets.set(element, new ChartSet(element));
  }
}

meetSets();
document.addEventListener("labpool:refreshed", meetSets);
