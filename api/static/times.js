// Relative times that stay true while the page is open; the absolute time, in the reader's own
// zone, is the tooltip.
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

function relative(seconds) {
  if (seconds < 5) return "just now";
  for (const [size, unit] of UNITS) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ago`;
  }
  return "just now";
}

export function refreshTimes() {
  for (const element of document.querySelectorAll("time[data-relative]")) {
    const at = new Date(element.dateTime);
    const text = relative((Date.now() - at.getTime()) / 1000);
    if (element.textContent !== text) element.textContent = text;
    element.title = at.toLocaleString();
  }
}

refreshTimes();
window.setInterval(refreshTimes, 10000);
