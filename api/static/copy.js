// Buttons that copy the text of an input: <button data-copy="ID" hidden>.

async function copy(source) {
  source.select();
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(source.value);
    return true;
  }
  // Plain HTTP to another machine has no clipboard interface; the old command still works there.
  return document.execCommand("copy");
}

for (const button of document.querySelectorAll("button[data-copy]")) {
  const source = document.getElementById(button.dataset.copy);
  button.hidden = false;
  button.addEventListener("click", async () => {
    const done = await copy(source).catch(() => false);
    button.textContent = done ? "Copied" : "Press Ctrl+C";
  });
}
