// Buttons that copy the text of an element or an input:
// <button class="copy" data-copy-text="ID">. One listener for all, so that buttons that come later
// work as well.
const SAID_FOR_MS = 2000;

// The style sheet hides the buttons until this runs.
document.documentElement.classList.add("can-copy");

function select(source) {
  if (source.select) source.select();
  else window.getSelection().selectAllChildren(source);
}

async function write(source) {
  if (navigator.clipboard) return navigator.clipboard.writeText(source.value ?? source.textContent);
  // Plain HTTP to another machine has no clipboard interface; the old command still works there.
  select(source);
  if (!document.execCommand("copy")) throw new Error("not copied");
  return undefined;
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copyText);
  const said = button.textContent;
  try {
    await write(source);
    button.textContent = "Copied";
  } catch {
    select(source);
    button.textContent = "Press Ctrl+C";
  }
  window.setTimeout(() => { button.textContent = said; }, SAID_FOR_MS);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy-text]");
  if (button) copy(button);
});
