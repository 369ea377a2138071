// The form of ticked trials: says how many are ticked, and gives the comparison a short address.
const MOST = 100;

function ticked() {
  return [...document.querySelectorAll('input[name="trials"]:checked')].map((box) => box.value);
}

function say() {
  const form = document.getElementById("compare");
  const note = document.getElementById("compare-note");
  if (!form || !note) return;
  const count = ticked().length;
  note.textContent = count === 0 ? "Tick the trials to compare."
    : count > MOST ? `${count} ticked; the first ${MOST} will be shown.` : `${count} ticked`;
}

document.addEventListener("change", (event) => {
  if (event.target.name === "trials") say();
});

document.addEventListener("submit", (event) => {
  if (event.target.id !== "compare") return;
  event.preventDefault();
  const ids = [...new Set(ticked())];
  if (ids.length === 0) {
    document.querySelector('input[name="trials"]')?.focus();
    say();
    return;
  }
  window.location.assign(`${event.target.getAttribute("action")}?trials=${ids.join(",")}`);
});

document.addEventListener("labpool:refreshed", say);
say();
