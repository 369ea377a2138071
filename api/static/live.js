// Keeps the page's live part current. The event stream says when something changed; then the same
// address is fetched as a fragment, and only what differs is changed, so that focus, selection,
// scroll, ticks and open <details> stay. Without a stream the page asks every few seconds by itself.
import { Mark } from "./mark.js";
import { morph } from "./morph.js";
import { Stream } from "./stream.js";
import { refreshTimes } from "./times.js";

const POLL_MS = 2000;
const SLOWEST_MS = 15000;
const SIGNED_OUT_MS = 30000;
// Some of what a page shows changes with time alone, such as why a trial waits.
const LOOK_ANYWAY_MS = 30000;
const LEAST_APART_MS = 500;

const region = document.getElementById("live");
const mark = new Mark(document.querySelector("[data-live-mark]"));

let etag = null;
let failures = 0;
let signedOut = false;
let timer = null;
let asking = false;
let askAgain = false;
let lastAsked = 0;
let lastGood = new Date();
let stream = null;

const isFinished = () => region.dataset.finished === "true";

function fragmentAddress() {
  const address = new URL(window.location.href);
  address.hash = "";
  address.searchParams.set("fragment", "1");
  // Charts that a module draws by itself need not be drawn by the server again.
  if (region.querySelector("[data-chart-set][data-keep]")) address.searchParams.set("charts", "0");
  return address;
}

async function fetchFragment() {
  const headers = { Accept: "text/html" };
  if (etag) headers["If-None-Match"] = etag;
  const signal = AbortSignal.timeout(10000);
  return fetch(fragmentAddress(), { headers, signal, credentials: "same-origin", redirect: "error" });
}

function take(text) {
  const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("live");
  if (fresh) morph(region, fresh);
  refreshTimes();
}

// True when what the page shows is current now.
async function update() {
  let response;
  try {
    response = await fetchFragment();
    if (response.status === 200) {
      take(await response.text());
      etag = response.headers.get("ETag");
    }
  } catch {
    return trouble("the server does not answer");
  }
  if (response.status === 401) {
    signedOut = true;
    mark.signedOut();
    return false;
  }
  if (response.status !== 304 && !response.ok) return trouble(`the server answered ${response.status}`);
  failures = 0;
  signedOut = false;
  lastGood = new Date();
  document.dispatchEvent(new CustomEvent("labpool:refreshed"));
  showState();
  return true;
}

function trouble(why) {
  failures += 1;
  signedOut = false;
  mark.stale(lastGood, why);
  return false;
}

function showState() {
  if (isFinished()) mark.finished();
  else if (stream && stream.isUp) mark.live();
  else mark.polling();
}

// Asks now, or right after the answer that is on its way.
async function refresh() {
  if (asking) {
    askAgain = true;
    return;
  }
  asking = true;
  window.clearTimeout(timer);
  lastAsked = performance.now();
  await update();
  asking = false;
  if (isFinished() && failures === 0 && !signedOut) {
    rest();
    return;
  }
  if (stream && !stream.isUp && !stream.source && !document.hidden) stream.open();
  plan();
}

function plan() {
  window.clearTimeout(timer);
  if (document.hidden) return;
  timer = window.setTimeout(refresh, nextInMs());
  askAgain = false;
}

function nextInMs() {
  if (askAgain) return Math.max(0, lastAsked + LEAST_APART_MS - performance.now());
  if (signedOut) return SIGNED_OUT_MS;
  if (failures > 0) return Math.min(POLL_MS * 2 ** (failures - 1), SLOWEST_MS);
  return stream && stream.isUp ? LOOK_ANYWAY_MS : POLL_MS;
}

function refreshSoon() {
  askAgain = true;
  if (!asking) plan();
}

function rest() {
  window.clearTimeout(timer);
  timer = null;
  if (stream) stream.close();
}

function wake() {
  if (stream && !isFinished()) stream.open();
  refresh();
}

function begin() {
  if (region.dataset.topics && "EventSource" in window) {
    stream = new Stream(region.dataset.topics, {
      onUp: refreshSoon,
      onChange: refreshSoon,
      onDown: refreshSoon,
    });
  }
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : wake()));
  window.addEventListener("pagehide", rest);
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) wake();
  });
  window.addEventListener("online", refreshSoon);
  if (isFinished()) {
    mark.finished();
    return;
  }
  if (document.hidden) return;
  if (stream) stream.open();
  plan();
}

if (region) begin();
