// The submit page: fields and spec follow each other, and the server checks what stands there.
// The spec's text is what is sent; without this script it is edited by hand.
import { showDuplicates } from "./submit_duplicates.js";
import { readFields } from "./submit_fields.js";
import { focusProblems, showProblems } from "./submit_problems.js";
import { watchSpace } from "./submit_space.js";
import { specText } from "./submit_yaml.js";

const CHECK_AFTER_MS = 300;
const RETRY_AFTER_MS = 3000;
const SHOWN_TRIALS = 10;
const form = document.getElementById("submit-form");
const fields = document.getElementById("fields");
const spec = document.getElementById("spec");
const state = document.getElementById("check-state");
const button = document.getElementById("submit-button");
const order = fields.dataset.keyOrder.split(" ");

let timer = null;
let running = null;
let bad = state.dataset.state === "bad";
let sent = false;

function say(name, text) {
  state.dataset.state = name;
  state.textContent = text;
  document.getElementById("sign-in-again").hidden = name !== "signed-out";
}

function setBad(isBad) {
  bad = isBad;
  if (isBad) button.setAttribute("aria-disabled", "true");
  else button.removeAttribute("aria-disabled");
}

function token() {
  return form.elements.csrf_token.value;
}

// After signing in again in another tab the page's token is one of a session that is gone.
async function renewToken() {
  const answer = await fetch("/submit", { headers: { Accept: "text/html" }, redirect: "error" });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.querySelector("#submit-form [name=csrf_token]")?.value;
  if (!fresh || fresh === token()) return false;
  for (const input of document.querySelectorAll("[name=csrf_token]")) input.value = fresh;
  return true;
}

async function ask(makeRequest) {
  const answer = await makeRequest();
  return answer.status === 403 && await renewToken() ? makeRequest() : answer;
}

function counted(count, word) {
  return count === 1 ? `one ${word}` : `${count} ${word}s`;
}

function showOutcome(checked) {
  const outcome = document.getElementById("outcome");
  const trials = document.getElementById("outcome-trials");
  outcome.hidden = !checked;
  showDuplicates(checked);
  if (!checked) return;
  const lines = checked.trials.slice(0, SHOWN_TRIALS).map((trial) => {
    const line = document.createElement("li");
    const code = document.createElement("code");
    code.textContent = Object.entries(trial.varied)
      .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`).join(", ");
    line.append(code);
    return line;
  });
  if (checked.trial_count > lines.length) {
    const line = document.createElement("li");
    line.className = "soft";
    line.textContent = `and ${checked.trial_count - lines.length} more`;
    lines.push(line);
  }
  trials.hidden = checked.trial_count === 1;
  trials.replaceChildren(...lines);
  document.getElementById("resolved").textContent = specText(checked.trials[0].spec, order);
}

function take(answer, body) {
  if (answer.status === 401) {
    say("signed-out", "You are signed out. What you typed stays here while you sign in again.");
  } else if (answer.ok) {
    showProblems(fields, []);
    showOutcome(body);
    setBad(false);
    say("good", `Makes ${counted(body.trial_count, "trial")}`);
  } else if (body.errors?.length) {
    showProblems(fields, body.errors);
    showOutcome(null);
    setBad(true);
    say("bad", counted(body.errors.length, "problem").replace(/^one/, "1"));
  } else {
    showProblems(fields, [{ detail: body.detail }]);
    setBad(answer.status < 500);
    say("bad", "1 problem");
  }
}

async function check() {
  running?.abort();
  const mine = running = new AbortController();
  const signal = AbortSignal.any ? AbortSignal.any([mine.signal, AbortSignal.timeout(10000)]) : mine.signal;
  try {
    const answer = await ask(() => fetch("/api/v1/specs/validate", {
      method: "POST",
      body: spec.value,
      headers: { "Content-Type": "application/yaml", "X-CSRF-Token": token(), Accept: "application/json" },
      signal,
    }));
    const body = await answer.json();
    if (mine === running) take(answer, body);
  } catch {
    if (mine !== running) return;
    say("unreachable", "Not checked: the server does not answer.");
    timer ??= window.setTimeout(recheck, RETRY_AFTER_MS);
  }
}

// Fresh fields for the spec; `change` ({model: "mlp"}) asks for the spec to be changed first.
async function refill(change = {}) {
  const body = () => new URLSearchParams({ ...change, csrf_token: token(), spec: spec.value });
  const text = spec.value;
  let answer;
  try {
    answer = await ask(() => fetch("/submit/form", {
      method: "POST", body: body(), headers: { Accept: "application/json" },
    }));
  } catch {
    return;
  }
  if (spec.value !== text) return;
  // Fields that cannot follow the text must not overwrite it.
  fields.disabled = !answer.ok;
  if (!answer.ok) return;
  const { spec: changed, fields: html } = await answer.json();
  const open = new Map([...fields.querySelectorAll("details")].map((part) => [part.id, part.open]));
  const focused = fields.contains(document.activeElement) ? document.activeElement : null;
  fields.innerHTML = html;
  for (const part of fields.querySelectorAll("details")) if (open.has(part.id)) part.open = open.get(part.id);
  if (focused?.id) document.getElementById(focused.id)?.focus();
  else if (focused) fields.querySelector(`[name="${focused.name}"]:checked`)?.focus();
  if (Object.keys(change).length) spec.value = changed;
}

function checkSoon(fromText) {
  window.clearTimeout(timer);
  say("checking", "Checking …");
  timer = window.setTimeout(recheck, CHECK_AFTER_MS, fromText);
}

async function recheck(fromText) {
  timer = null;
  if (fromText) await refill();
  await check();
}

function fieldsChanged() {
  spec.value = specText(readFields(fields), order);
  checkSoon(false);
}

// Before our own listener: what is hidden is not read.
watchSpace(fields, fieldsChanged);
spec.addEventListener("input", () => checkSoon(true));
fields.addEventListener("input", (event) => {
  if (!event.target.closest("[data-change]")) fieldsChanged();
});
fields.addEventListener("change", async (event) => {
  const changed = event.target.closest("[data-change]");
  if (changed) {
    say("checking", "Checking …");
    await refill({ [changed.dataset.change]: event.target.value });
    await check();
  } else if (event.target.closest("select")) {
    fieldsChanged();
  }
});

// Checked once more first: so a page whose session is gone, or whose server is, keeps its text.
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (sent) return;
  sent = true;
  window.clearTimeout(timer);
  timer = null;
  await check();
  if (state.dataset.state === "good") form.submit();
  else sent = false;
  if (bad) focusProblems();
  if (state.dataset.state === "signed-out") document.getElementById("sign-in-again").focus();
});
// The browser's "back" shows this page as it was left.
window.addEventListener("pageshow", () => { sent = false; });
window.addEventListener("focus", () => { if (state.dataset.state === "signed-out") checkSoon(false); });

for (const part of document.querySelectorAll(".only-without-script")) part.hidden = true;
fields.disabled = false;
setBad(bad);
// Typed before this script was there, or brought back by the browser.
if (spec.value !== spec.defaultValue) checkSoon(true);
