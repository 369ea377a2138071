// The coordinates of a sweep: draws the trials that the server left out, and lists below what the
// brushes pick. All of it comes from the sweep's JSON, which is asked for only when it is needed.
const SVG = "http://www.w3.org/2000/svg";
const SHADES = 5;
const MOST_LISTED = 50;

const same = (word, value) => {
  if (typeof value === "string") return word === value;
  try {
    return JSON.stringify(JSON.parse(word)) === JSON.stringify(value);
  } catch {
    return false;
  }
};

// Where a value stands on an axis as the server drew it, 0 to 1; null where it has no place.
function shareOf(axis, value) {
  if (value === null || value === undefined) return null;
  const { kind, low, high, words } = axis.dataset;
  if (kind === "words") {
    const known = words.split("\n");
    const place = known.findIndex((word) => same(word, value));
    return place < 0 ? null : (place + 0.5) / known.length;
  }
  if (typeof value !== "number") return null;
  const bend = kind === "log" ? Math.log10 : (number) => number;
  const share = (bend(value) - bend(Number(low))) / (bend(Number(high)) - bend(Number(low)));
  return Number.isFinite(share) ? Math.min(1, Math.max(0, share)) : null;
}

function text(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return String(Number(value.toPrecision(4)));
  return typeof value === "string" ? value : JSON.stringify(value);
}

class Coordinates {
  constructor(panel) {
    this.panel = panel;
    this.trials = null;
    this.picked = null; // the ids that the brushes pick, null without any
  }

  get lines() { return this.panel.querySelector("#parallel-lines"); }
  get rows() { return this.panel.querySelector("#picked-rows"); }
  get isLarge() { return Number(this.panel.dataset.scored) > Number(this.panel.dataset.drawn); }

  // After the page has changed: what is kept from the server's drawing is drawn again here.
  async refresh() {
    if (this.busy) {
      this.again = true;
      return;
    }
    this.busy = true;
    try {
      if (this.isLarge || this.picked) await this.load();
      if (this.isLarge) this.draw();
    } catch {
      // The mark of the page says what is wrong; the next refresh tries again.
    }
    this.busy = false;
    if (this.again) {
      this.again = false;
      this.refresh();
    }
  }

  async load() {
    const answer = await fetch(this.panel.dataset.sweep,
      { headers: { Accept: "application/json" }, credentials: "same-origin" });
    if (!answer.ok) throw new Error(String(answer.status));
    const sweep = await answer.json();
    const sign = sweep.objective?.direction === "minimize" ? -1 : 1;
    this.metric = sweep.objective?.metric;
    this.parameters = sweep.parameters;
    this.trials = sweep.trials.filter((trial) => trial.value !== null)
      .sort((a, b) => sign * (b.value - a.value) || a.number - b.number);
    this.places = new Map(this.trials.map((trial, place) => [String(trial.id), place]));
  }

  shade(id) {
    const count = this.trials.length;
    return `shade-${Math.floor(((count - 1 - this.places.get(id)) * SHADES) / count)}`;
  }

  draw() {
    const figure = this.panel.querySelector("[data-parallel]");
    const axes = [...figure.querySelectorAll("[data-axis]")];
    const [top, bottom] = [Number(figure.dataset.top), Number(figure.dataset.bottom)];
    const wanted = JSON.stringify([this.trials.map((trial) => [trial.id, trial.value]),
      axes.map((axis) => ({ ...axis.dataset }))]);
    if (wanted === this.drawn && this.lines.dataset.keep) return;
    const paths = this.trials.map((trial) => {
      const values = this.parameters.slice(0, axes.length - 1).map((name) => trial.varied[name]);
      const shares = axes.map((axis, index) =>
        shareOf(axis, index < values.length ? values[index] : trial.value));
      return this.path(trial, axes, shares, [...values, trial.value], top, bottom);
    });
    this.lines.dataset.keep = "children";
    // The best last, on top of the others.
    this.lines.replaceChildren(...paths.reverse());
    this.drawn = wanted;
    this.panel.querySelector("#coordinates-note").textContent =
      `${this.trials.length} trials with a value`;
    document.dispatchEvent(new CustomEvent("labpool:drawn"));
  }

  path(trial, axes, shares, values, top, bottom) {
    let down = false;
    const strokes = shares.map((share, index) => {
      if (share === null) {
        down = false;
        return "";
      }
      const stroke = `${down ? "L" : "M"}${axes[index].dataset.x} ${(bottom - share * (bottom - top)).toFixed(1)}`;
      down = true;
      return stroke;
    });
    const path = document.createElementNS(SVG, "path");
    path.id = `parallel-${trial.id}`;
    path.setAttribute("class", `thread ${this.shade(String(trial.id))}`);
    path.dataset.trial = trial.id;
    path.dataset.at = shares.map((share) => (share === null ? "-" : share.toFixed(4))).join(" ");
    path.setAttribute("d", strokes.join(""));
    const title = document.createElementNS(SVG, "title");
    title.textContent = `Trial ${trial.id}: ${axes.map((axis, index) =>
      `${axis.dataset.axis} ${text(values[index])}`).join(", ")}`;
    path.append(title);
    return path;
  }

  async brushed({ isBrushed, picked }) {
    if (!isBrushed) {
      if (this.picked) this.showBest();
      this.picked = null;
      return;
    }
    this.picked = new Set(picked);
    if (!this.trials) await this.load().catch(() => {});
    if (this.trials && this.picked) this.list();
  }

  list() {
    const found = this.trials.filter((trial) => this.picked.has(String(trial.id)));
    this.best ??= [...this.rows.children];
    this.rows.dataset.keep = "children";
    this.rows.replaceChildren(...found.slice(0, MOST_LISTED).map((trial) => this.row(trial)));
    const more = found.length > MOST_LISTED ? `, the best ${MOST_LISTED} of them` : "";
    this.title(`Picked: ${found.length} trial${found.length === 1 ? "" : "s"}${more}`);
  }

  // What the server listed comes again with the next fragment; until then as it was.
  showBest() {
    if (!this.best) return;
    this.rows.replaceChildren(...this.best);
    delete this.rows.dataset.keep;
    this.title(`The best ${this.best.length}`);
    this.best = null;
  }

  title(words) { this.panel.querySelector("#picked-title").textContent = words; }

  row(trial) {
    const row = document.createElement("tr");
    row.id = `picked-${trial.id}`;
    const head = document.createElement("th");
    head.scope = "row";
    head.className = "nowrap";
    const swatch = document.createElement("i");
    const thread = this.panel.querySelector(`#parallel-${trial.id}`);
    const look = [...(thread?.classList ?? [])].filter((name) => !["thread", "faded"].includes(name));
    swatch.className = `swatch ${look.join(" ")}`;
    swatch.setAttribute("aria-hidden", "true");
    const link = document.createElement("a");
    link.href = `/trials/${trial.id}`;
    link.textContent = `Trial ${trial.id}`;
    head.append(swatch, " ", link);
    const cells = this.parameters.map((name) => this.cell(text(trial.varied[name])));
    const state = document.createElement("span");
    state.className = `state state-${trial.state}`;
    state.textContent = trial.state;
    row.append(head, ...cells, this.cell(state), this.cell(text(trial.value), "number"));
    return row;
  }

  cell(content, className = "") {
    const cell = document.createElement("td");
    cell.className = className;
    cell.append(content);
    return cell;
  }
}

let coordinates = null;

function begin() {
  const panel = document.querySelector("[data-sweep]");
  if (!panel) coordinates = null;
  else if (coordinates?.panel !== panel) coordinates = new Coordinates(panel);
  coordinates?.refresh();
}

document.addEventListener("labpool:brushed", (event) => coordinates?.brushed(event.detail));
document.addEventListener("labpool:refreshed", begin);
begin();
