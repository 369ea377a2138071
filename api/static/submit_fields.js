// Reads the spec out of the fields. Each field says by data-pointer where in the spec it stands and
// by data-type what is typed there; empty ones are left out. Text that is not of the field's type
// goes into the spec as text: the server then says what is wrong with it.
import { readFlow } from "./submit_flow.js";
import { Written } from "./submit_yaml.js";

const NUMBER = /^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/;
const WHOLE = /^[-+]?[0-9]+$/;

export function partsOf(pointer) {
  return pointer.split("/").slice(1).map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

export function pointerOf(...parts) {
  return parts.map((part) => `/${part.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

// The id of the element for a pointer, as api/forms/fields.py makes it.
export function fieldId(pointer) {
  const safe = Array.from(pointer, (letter) => {
    if (letter === "/") return "-";
    return /[A-Za-z0-9_]/.test(letter) ? letter : `.${letter.codePointAt(0).toString(16)}.`;
  });
  return `field${safe.join("")}`;
}

export function put(spec, parts, value) {
  let table = spec;
  for (const part of parts.slice(0, -1)) table = table[part] ??= {};
  table[parts.at(-1)] = value;
}

function controlOf(field) {
  return field.querySelector("input:checked, input:not([type=radio]), select, textarea");
}

function list(text, toValue) {
  const inner = text.trim().replace(/^\[(.*)\]$/s, "$1");
  return inner.split(/[\s,]+/).filter(Boolean).map(toValue);
}

function numberOr(text, pattern) {
  return pattern.test(text) ? new Written(text) : text;
}

function typed(text, type) {
  switch (type) {
    case "integer":
    case "number":
    case "word_or_integer":
      return numberOr(text.trim(), NUMBER);
    case "boolean":
      return ["true", "false"].includes(text) ? new Written(text) : text;
    case "integers":
      return list(text, (item) => numberOr(item, WHOLE));
    case "layers":
      return readFlow(text);
    case "words":
      return list(text, (item) => item);
    default:
      return text;
  }
}

// One value of a sweep's list, as it would stand in YAML's square brackets.
function item(text) {
  const bare = text.trim();
  if (/^\[.*\]$/s.test(bare)) return split(bare.slice(1, -1)).map(item);
  if (bare.startsWith('"')) {
    try { return JSON.parse(bare); } catch { return bare; }
  }
  return NUMBER.test(bare) || ["true", "false", "null"].includes(bare) ? new Written(bare) : bare;
}

// At commas that stand neither in brackets nor in quotes.
function split(text) {
  const parts = text.match(/(?:\[[^\]]*\]|"(?:[^"\\]|\\.)*"|[^,])+/g) ?? [];
  return parts.filter((part) => part.trim());
}

function axisValue(row) {
  const control = (name) => row.querySelector(`[data-axis="${name}"]`);
  const text = (name) => control(name).value.trim();
  if (text("form") === "values") {
    const values = text("values").replace(/^\[((?:[^[\]])*)\]$/s, "$1");
    const ofText = control("path").selectedOptions[0]?.dataset.type === "choice";
    return split(values).map((part) => (ofText ? part.trim().replace(/^"(.*)"$/s, "$1") : item(part)));
  }
  const range = {};
  for (const name of ["low", "high"]) if (text(name)) range[name] = numberOr(text(name), NUMBER);
  if (text("scale") !== "linear") range.scale = text("scale");
  if (text("steps")) range.steps = numberOr(text("steps"), WHOLE);
  return range;
}

function readSpace(fields) {
  const space = {};
  for (const row of fields.querySelectorAll("li.axis")) {
    space[row.querySelector('[data-axis="path"]').value] = axisValue(row);
  }
  return space;
}

// The spec that the fields say.
export function readFields(fields) {
  const spec = {};
  for (const field of fields.querySelectorAll(".field[data-pointer]")) {
    if (field.closest("[hidden]")) continue;
    const text = controlOf(field)?.value ?? "";
    if (text.trim() !== "") put(spec, partsOf(field.dataset.pointer), typed(text, field.dataset.type));
  }
  const kind = fields.querySelector('[data-change="kind"] input:checked')?.value;
  if (kind === "sweep") spec.space = readSpace(fields);
  return spec;
}
