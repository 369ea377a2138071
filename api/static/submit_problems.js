// Shows what is wrong: at the field that a problem's pointer leads to, and in a list with links.
import { fieldId } from "./submit_fields.js";

const list = document.querySelector("#problems ul");
const box = document.getElementById("problems");

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function lineOf(problem) {
  return problem.suggestion ? `${problem.detail} ${problem.suggestion}` : problem.detail;
}

// The nearest pointer at or above the problem's that has an input: "/tags/0" is shown at "/tags".
function placeOf(pointer) {
  for (let place = pointer; place; place = place.slice(0, place.lastIndexOf("/"))) {
    if (document.getElementById(fieldId(place))) return place;
  }
  return "";
}

function clear(fields) {
  for (const line of fields.querySelectorAll(".problem")) {
    line.textContent = "";
    line.hidden = true;
  }
  for (const control of fields.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
}

function showAtField(place, problem) {
  const id = fieldId(place);
  const line = document.getElementById(`${id}-problem`);
  if (!line) return;
  // What the field's hint says already need not be said again.
  const hint = document.getElementById(`${id}-hint`)?.textContent ?? "";
  const known = problem.suggestion && hint.includes(problem.suggestion);
  const text = known ? problem.detail : lineOf(problem);
  line.textContent = line.textContent ? `${line.textContent} ${sentence(text)}` : sentence(text);
  line.hidden = false;
  const control = document.getElementById(id);
  if (control.matches("input, select, textarea")) control.setAttribute("aria-invalid", "true");
  line.closest("details")?.setAttribute("open", "");
}

function entryOf(problem, place) {
  const entry = document.createElement("li");
  const link = document.createElement("a");
  link.href = `#${place ? fieldId(place) : "spec"}`;
  link.textContent = problem.pointer || "Spec";
  entry.append(link, ` ${lineOf(problem)}`);
  return entry;
}

// `problems` are the errors of a problem document: {pointer, detail, suggestion}.
export function showProblems(fields, problems) {
  clear(fields);
  box.setAttribute("role", "group");
  const entries = problems.map((problem) => {
    const place = placeOf(problem.pointer ?? "");
    if (place) showAtField(place, problem);
    return entryOf(problem, place);
  });
  list.replaceChildren(...entries);
  box.hidden = entries.length === 0;
}

// A link leads to its field itself, so that one can type at once.
box.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  const target = link && document.getElementById(decodeURIComponent(link.hash.slice(1)));
  if (!target) return;
  event.preventDefault();
  target.closest("details")?.setAttribute("open", "");
  const control = target.matches("input, select, textarea") ? target : target.querySelector("input, select");
  (control ?? target).focus();
});

export function focusProblems() {
  box.focus();
}
