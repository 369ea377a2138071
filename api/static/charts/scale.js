// Linear and logarithmic axes: positions, round tick values, short labels. The same rules as in
// api/charts/scale.py, so that a chart does not jump when the browser takes over from the server.
const STEPS = [1, 2, 2.5, 5, 10];

export class Scale {
  // Maps low…high of the data to start…end of the drawing, which may run backwards.
  constructor(low, high, start, end, isLog = false) {
    Object.assign(this, { low, high, start, end, isLog });
  }

  position(value) {
    const [low, high, here] = [this.low, this.high, value].map((v) => (this.isLog ? Math.log10(v) : v));
    const share = high > low ? (here - low) / (high - low) : 0.5;
    return this.start + share * (this.end - this.start);
  }

  ticks(about) {
    const found = this.isLog ? logTicks(this.low, this.high) : [];
    return found.length > 1 ? found : linearTicks(this.low, this.high, about);
  }
}

// A scale that holds all values with a margin. Logarithmic only where all are positive.
export function fit(values, start, end, wantsLog, margin) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return new Scale(0, 1, start, end);
  if (wantsLog && low > 0) {
    const spread = Math.max(Math.log10(high) - Math.log10(low), 0.1);
    return new Scale(low / 10 ** (spread * margin), high * 10 ** (spread * margin), start, end, true);
  }
  const room = low === high ? Math.abs(low) * 0.1 || 1 : (high - low) * margin;
  return new Scale(low - room, high + room, start, end);
}

// The x axis: from the first value to the last, without a margin.
export function span(values, start, end) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return new Scale(0, 1, start, end);
  return low === high ? new Scale(low - 0.5, high + 0.5, start, end) : new Scale(low, high, start, end);
}

function linearTicks(low, high, about) {
  const width = high - low;
  if (!(width > 0 && Number.isFinite(width))) return [low];
  const raw = width / Math.max(about, 1);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * STEPS.find((factor) => power * factor >= raw * 0.999);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i <= Math.floor(high / step + 1e-9); i += 1) {
    ticks.push(Number((i * step).toPrecision(12)));
  }
  return ticks;
}

function logTicks(low, high) {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const factors = last - first + 1 > 4 ? [1] : [1, 2, 5];
  const ticks = [];
  for (let power = first; power <= last; power += 1) {
    for (const factor of factors) ticks.push(factor * 10 ** power);
  }
  return ticks.filter((tick) => low <= tick && tick <= high);
}

function digits(value, count) {
  return String(Number(value.toPrecision(count)));
}

// 0.001, 0.25, 12, 15k, 2M, 1e-6.
export function label(value) {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e-4 && size < 1e-3) return digits(value, 2);
  if (size < 1e-4 || size >= 1e9) return value.toExponential(1).replace(".0e", "e").replace("e+", "e");
  if (size >= 1e6) return `${digits(value / 1e6, 4)}M`;
  if (size >= 1e4) return `${digits(value / 1e3, 4)}k`;
  return digits(value, 4);
}
