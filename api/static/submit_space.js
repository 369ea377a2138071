// The editor of a sweep's space: rows that each say what varies, by a list or within a range.
import { fieldId, pointerOf } from "./submit_fields.js";

const USUAL_TRIALS = "8";

function settle(row) {
  const path = row.querySelector('[data-axis="path"]');
  const pointer = pointerOf("space", path.value);
  const problem = row.querySelector(":scope > .problem");
  row.dataset.pointer = pointer;
  path.id = fieldId(pointer);
  problem.id = `${path.id}-problem`;
  path.setAttribute("aria-describedby", problem.id);
  const form = row.querySelector('[data-axis="form"]').value;
  for (const part of row.querySelectorAll("[data-axis-form]")) {
    part.hidden = part.dataset.axisForm !== form;
  }
}

function firstFree(select, taken) {
  return [...select.options].find((option) => !taken.has(option.value));
}

function add(fields, changed) {
  const rows = fields.querySelector("#field-space");
  const taken = new Set([...rows.querySelectorAll('[data-axis="path"]')].map((path) => path.value));
  const row = fields.querySelector("#axis-template").content.cloneNode(true).firstElementChild;
  const path = row.querySelector('[data-axis="path"]');
  const free = firstFree(path, taken);
  if (!free) return;
  free.selected = true;
  rows.append(row);
  settle(row);
  path.focus();
  changed();
}

function remove(row, fields, changed) {
  const next = row.nextElementSibling ?? row.previousElementSibling;
  row.remove();
  (next?.querySelector('[data-axis="path"]') ?? fields.querySelector("#add-axis")).focus();
  changed();
}

// Fields that only go with some of a select's choices.
function showWhatApplies(fields, select) {
  for (const part of fields.querySelectorAll("[data-of]")) {
    if (part.dataset.of === select.id) part.hidden = !part.dataset.when.split(" ").includes(select.value);
  }
}

// Takes care of clicks and changes within the rows; `changed` is called when the space is another.
export function watchSpace(fields, changed) {
  fields.addEventListener("click", (event) => {
    if (event.target.id === "add-axis") add(fields, changed);
    const row = event.target.closest('[data-axis="remove"]')?.closest("li.axis");
    if (row) remove(row, fields, changed);
  });
  fields.addEventListener("change", (event) => {
    showWhatApplies(fields, event.target);
    const row = event.target.closest("li.axis");
    if (row && ["path", "form"].includes(event.target.dataset.axis)) settle(row);
    if (event.target.id === "field-strategy-method") {
      const drawn = event.target.value !== "grid";
      const trials = fields.querySelector("#field-strategy-trials");
      if (drawn && trials && !trials.value) trials.value = USUAL_TRIALS;
      const hint = fields.querySelector("#field-strategy-method-hint");
      hint.textContent = event.target.selectedOptions[0].dataset.meaning ?? "";
    }
  });
}
