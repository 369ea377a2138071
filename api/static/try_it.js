// The "Try it" form of a trial's page: drawing, and answers without leaving the page. The form works
// by itself without this; the answer is the server's own page of the prediction, cut out.
const POLL_MS = 1000;
const LONGEST_S = 300;
const PEN = 24;

let form = null;
let place = null;
let paper = null;
let newest = 0;

function showSeen(root) {
  for (const canvas of root.querySelectorAll("canvas[data-pixels]")) {
    const values = canvas.dataset.pixels.split(",").map(Number);
    const channels = Number(canvas.dataset.channels);
    const context = canvas.getContext("2d");
    const image = context.createImageData(canvas.width, canvas.height);
    for (let pixel = 0; pixel < canvas.width * canvas.height; pixel += 1) {
      for (let colour = 0; colour < 3; colour += 1) {
        image.data[4 * pixel + colour] = values[channels * pixel + (channels === 3 ? colour : 0)];
      }
      image.data[4 * pixel + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }
}

function say(text, bad = false) {
  const notice = document.createElement("p");
  notice.className = bad ? "notice notice-bad" : "soft";
  notice.textContent = text;
  place.replaceChildren(notice);
}

function problemOf(text) {
  const page = new DOMParser().parseFromString(text, "text/html");
  const said = [...page.querySelectorAll("main p")].map((item) => item.textContent.trim());
  return said.filter(Boolean).slice(0, 2).join(" ") || "The server did not answer as expected.";
}

async function take(response, mine) {
  const text = await response.text();
  if (mine !== newest) return null;
  if (!response.ok) {
    say(problemOf(text), true);
    return null;
  }
  const page = new DOMParser().parseFromString(text, "text/html");
  const answer = page.getElementById("answer");
  if (!answer) {
    say("The answer cannot be shown here; reload the page.", true);
    return null;
  }
  answer.querySelectorAll("noscript").forEach((item) => item.remove());
  place.replaceChildren(document.importNode(answer, true));
  showSeen(place);
  return answer.dataset;
}

async function ask(body) {
  newest += 1;
  const mine = newest;
  place.setAttribute("aria-busy", "true");
  if (!place.firstElementChild) say("Asking …");
  const options = { credentials: "same-origin", headers: { Accept: "text/html" } };
  try {
    let shown = await take(await fetch(form.action, { method: "POST", body, ...options }), mine);
    for (let waited = 0; shown && shown.finished !== "true" && waited < LONGEST_S; waited += 1) {
      await new Promise((resolve) => { window.setTimeout(resolve, POLL_MS); });
      if (mine !== newest) return;
      shown = await take(await fetch(shown.place, options), mine);
    }
  } catch {
    if (mine === newest) say("The server does not answer.", true);
  } finally {
    if (mine === newest) place.removeAttribute("aria-busy");
  }
}

function beginDrawing() {
  const context = paper.getContext("2d");
  let last = null;
  let drawn = false;

  function clear() {
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, paper.width, paper.height);
    drawn = false;
  }

  function point(event) {
    const box = paper.getBoundingClientRect();
    return [
      ((event.clientX - box.left) * paper.width) / box.width,
      ((event.clientY - box.top) * paper.height) / box.height,
    ];
  }

  function line(from, to) {
    context.lineWidth = PEN;
    context.lineCap = "round";
    context.lineJoin = "round";
    context.strokeStyle = "#000000";
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
    drawn = true;
  }

  function send() {
    if (!drawn) return;
    paper.toBlob((picture) => {
      const body = new FormData(form);
      body.set("file", picture, "drawing.png");
      body.set("turn_over", "auto");
      ask(body);
    }, "image/png");
  }

  paper.addEventListener("pointerdown", (event) => {
    paper.setPointerCapture(event.pointerId);
    last = point(event);
    line(last, last);
    event.preventDefault();
  });
  paper.addEventListener("pointermove", (event) => {
    if (!last) return;
    const next = point(event);
    line(last, next);
    last = next;
  });
  for (const name of ["pointerup", "pointercancel"]) {
    paper.addEventListener(name, () => {
      if (!last) return;
      last = null;
      send();
    });
  }
  document.getElementById("draw-clear").addEventListener("click", () => {
    clear();
    newest += 1;
    place.replaceChildren();
    place.removeAttribute("aria-busy");
  });
  clear();
  paper.closest(".draw").hidden = false;
}

// The form comes with the first checkpoint, which may be after the page, and goes with the last;
// a new one knows nothing of what was asked on the one before.
function begin() {
  const found = document.getElementById("try-form");
  if (!found || found === form) return;
  form = found;
  newest += 1;
  place = document.getElementById("try-answer");
  paper = document.getElementById("draw");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(new FormData(form));
  });
  if (paper) beginDrawing();
}

begin();
showSeen(document);
document.addEventListener("labpool:refreshed", () => {
  begin();
  const answer = document.querySelector("#live > section #answer");
  if (answer && answer.parentElement.id !== "try-answer") showSeen(answer);
});
