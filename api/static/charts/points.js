// The points of trials' curves: fetched whole once, then only what is new.

// Where one answer ends another may begin: the server sends at most so many points at a time.
const MOST_ANSWERS = 50;

export class TrialPoints {
  // `source` as the server's page describes it: id, name, colour, dashed, finished.
  constructor(source) {
    this.source = source;
    this.cursor = null;
    this.curves = new Map();
    this.complete = false;
    this.names = "";
  }

  curve(metric) {
    return this.curves.get(metric) ?? null;
  }

  // Brings what is new of these metrics; true when anything was.
  async update(metrics) {
    const names = metrics.join("\n");
    if (names !== this.names) this.#forget(names);
    if (this.complete) return false;
    let changed = false;
    for (let count = 0; count < MOST_ANSWERS; count += 1) {
      const answer = await this.#ask(metrics);
      changed = this.#take(answer) || changed;
      if (!answer.more) {
        this.complete = answer.finished;
        break;
      }
    }
    return changed;
  }

  #forget(names) {
    this.names = names;
    this.cursor = null;
    this.complete = false;
    this.curves.clear();
  }

  async #ask(metrics) {
    const query = new URLSearchParams(metrics.map((name) => ["name", name]));
    if (this.cursor) query.set("since", this.cursor);
    const response = await fetch(`/api/v1/trials/${this.source.id}/metrics?${query}`, {
      headers: { Accept: "application/json" },
      credentials: "same-origin",
      signal: AbortSignal.timeout(20000),
    });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    return response.json();
  }

  #take(answer) {
    const isReset = answer.reset && this.curves.size > 0;
    if (answer.reset) this.curves.clear();
    this.cursor = answer.cursor;
    const found = Object.entries(answer.curves);
    for (const [name, points] of found) {
      const curve = this.curves.get(name);
      if (!curve) {
        this.curves.set(name, points);
        continue;
      }
      for (const list of ["steps", "epochs", "times_s", "values"]) {
        for (const value of points[list]) curve[list].push(value);
      }
    }
    return isReset || found.length > 0;
  }
}

export function hasEpochs(curve) {
  return curve.epochs.every((epoch) => epoch !== null);
}

// Positions along `x`; a curve whose points have no epochs goes by steps.
export function positions(curve, x) {
  if (x === "time") return curve.times_s;
  return x === "epoch" && hasEpochs(curve) ? curve.epochs : curve.steps;
}

// Exponential moving average with `weight` on the past, corrected for its start. Gaps stay gaps.
export function smoothed(values, weight) {
  let past = 0;
  let mass = 0;
  return values.map((value) => {
    if (!Number.isFinite(value)) return value;
    past = weight * past + (1 - weight) * value;
    mass = weight * mass + (1 - weight);
    return past / mass;
  });
}

// Indices of at most about `most` points that keep every stretch's least and greatest value.
export function thinned(values, most) {
  const all = values.map((_, index) => index);
  if (values.length <= most) return all;
  const size = Math.ceil(values.length / (most / 2));
  const kept = [];
  for (let start = 0; start < values.length; start += size) {
    let [least, greatest] = [start, start];
    for (let i = start; i < Math.min(start + size, values.length); i += 1) {
      if (Number.isFinite(values[i]) && !(values[i] >= values[least])) least = i;
      if (Number.isFinite(values[i]) && !(values[i] <= values[greatest])) greatest = i;
    }
    kept.push(...new Set([Math.min(least, greatest), Math.max(least, greatest)]));
  }
  return kept;
}
