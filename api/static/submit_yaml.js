// Writes a spec as YAML, the same way as api/forms/text.py. Numbers are never read into floating
// point on the way: a field's text that is a number becomes a Written and is copied as it stands,
// so 1.0 stays 1.0 and a long seed keeps its last digits.

export class Written {
  constructor(text) { this.text = text; }
}

const ALWAYS_BLOCK = new Set(["base", "space"]);
const LONGEST_FLOW = 44;
const PLAIN = /^[A-Za-z_][A-Za-z0-9_./+() -]*$/;
const PLAIN_LINE = /^[A-Za-z_][A-Za-z0-9_./+(), -]*$/;
const NOT_PLAIN = new Set(["true", "false", "null", "yes", "no", "on", "off", "y", "n"]);
const UNSAFE = /[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]/g;

function isTable(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value)
    && !(value instanceof Written);
}

function quotedOr(text, plain) {
  if (plain.test(text) && !text.endsWith(" ") && !NOT_PLAIN.has(text.toLowerCase())) return text;
  return JSON.stringify(text).replace(
    UNSAFE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

export function flow(value) {
  if (value === null) return "null";
  if (value instanceof Written) return value.text;
  if (Array.isArray(value)) return `[${value.map(flow).join(", ")}]`;
  if (isTable(value)) {
    const pairs = Object.entries(value).map(([key, inner]) => `${quotedOr(key, PLAIN)}: ${flow(inner)}`);
    return `{${pairs.join(", ")}}`;
  }
  return typeof value === "string" ? quotedOr(value, PLAIN) : String(value);
}

function fitsLine(key, value) {
  return !ALWAYS_BLOCK.has(key) && !Object.values(value).some(isTable)
    && [...flow(value)].length <= LONGEST_FLOW;
}

function readsWellAsLines(text) {
  const lines = text.split("\n");
  return lines.length > 1 && lines[0] !== "" && lines.at(-1) !== "" && !lines[0].startsWith(" ")
    && lines.every((line) => /^[\x20-\x7e]*$/.test(line) && line === line.trimEnd());
}

function block(table, depth) {
  const lines = [];
  for (const [key, value] of Object.entries(table)) {
    const head = `${"  ".repeat(depth)}${quotedOr(key, PLAIN)}:`;
    if (isTable(value) && Object.keys(value).length && !fitsLine(key, value)) {
      lines.push(head, ...block(value, depth + 1));
    } else if (Array.isArray(value) && value.length && value.every(isTable)) {
      lines.push(head, ...value.map((inner) => `${"  ".repeat(depth + 1)}- ${flow(inner)}`));
    } else if (typeof value === "string" && readsWellAsLines(value)) {
      lines.push(`${head} |-`);
      for (const line of value.split("\n")) lines.push(line && "  ".repeat(depth + 1) + line);
    } else {
      lines.push(`${head} ${typeof value === "string" ? quotedOr(value, PLAIN_LINE) : flow(value)}`);
    }
  }
  return lines;
}

function inOrder(table, order) {
  const rank = (key) => (order.includes(key) ? order.indexOf(key) : order.length);
  const sorted = Object.entries(table).sort(([a], [b]) => rank(a) - rank(b));
  return Object.fromEntries(
    sorted.map(([key, value]) => [key, key === "base" && isTable(value) ? inOrder(value, order) : value]));
}

export function specText(spec, order) {
  return block(inOrder(spec, order), 0).map((line) => `${line}\n`).join("");
}
