// Buttons that copy the text of another element: <button class="copy" data-copy-text="ID">. One
// listener for all, so that buttons that come later work as well.
const SAID_FOR_MS = 2000;

// The style sheet hides the buttons until this runs.
document.documentElement.classList.add("can-copy");

async function write(element) {
  const text = element.textContent;
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Plain HTTP to another machine has no clipboard interface; the old command still works there.
  window.getSelection().selectAllChildren(element);
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
    window.getSelection().selectAllChildren(source);
    button.textContent = "Press Ctrl+C";
  }
  window.setTimeout(() => { button.textContent = said; }, SAID_FOR_MS);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy-text]");
  if (button && !button.dataset.busy) copy(button);
});
