// Keeps the page's live part current: asks for the same address as a fragment every two seconds
// while the page is visible and something on it is unfinished, and changes only what differs, so
// that focus, selection, scroll and open <details> stay as they are.
import { morph } from "./morph.js";
import { refreshTimes } from "./times.js";

const EVERY_MS = 2000;
const SLOWEST_MS = 30000;
const region = document.getElementById("live");
const mark = document.getElementById("live-mark");

let etag = null;
let failures = 0;
let timer = null;
let lastGood = new Date();

function show(state, text) {
  if (!mark || mark.dataset.state === state && mark.textContent === text) return;
  mark.dataset.state = state;
  mark.textContent = text;
}

function stale(why) {
  const at = lastGood.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  show("stale", `Stale since ${at}: ${why}`);
}

function finished() {
  return region.dataset.finished === "true";
}

function fragmentAddress() {
  const address = new URL(window.location.href);
  address.hash = "";
  address.searchParams.set("fragment", "1");
  return address;
}

async function fetchFragment() {
  const headers = { Accept: "text/html" };
  if (etag) headers["If-None-Match"] = etag;
  const signal = AbortSignal.timeout(10000);
  return fetch(fragmentAddress(), { headers, signal, credentials: "same-origin", redirect: "error" });
}

async function update() {
  let response;
  try {
    response = await fetchFragment();
  } catch {
    failures += 1;
    stale("the server does not answer");
    return;
  }
  if (response.status === 401) {
    failures += 1;
    stale("you are signed out");
    return;
  }
  if (response.status !== 304 && !response.ok) {
    failures += 1;
    stale(`the server answered ${response.status}`);
    return;
  }
  if (response.status === 200) {
    etag = response.headers.get("ETag");
    const text = await response.text();
    const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("live");
    if (fresh) morph(region, fresh);
  }
  failures = 0;
  lastGood = new Date();
  refreshTimes();
  show(finished() ? "finished" : "live", finished() ? "Finished" : "Live");
}

async function turn() {
  timer = null;
  if (document.hidden) return;
  await update();
  if (!(finished() && failures === 0)) schedule();
}

function schedule() {
  const wait = Math.min(EVERY_MS * 2 ** Math.min(failures, 4), SLOWEST_MS);
  timer = window.setTimeout(turn, wait);
}

if (region) {
  if (finished()) {
    show("finished", "Finished");
  } else {
    show("live", "Live");
    schedule();
  }
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && timer === null && !finished()) turn();
  });
}
