// The mark that says how current the page is: live, polling, stale since when, signed out, finished.
// Elements: [data-live-mark] with data-state; what it said is kept while nothing changes, so that a
// screen reader hears of changes only.

function clock(date) {
  return date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

function signInAddress() {
  const here = window.location.pathname + window.location.search;
  return `/sign-in?next=${encodeURIComponent(here)}`;
}

export class Mark {
  constructor(element) {
    this.element = element;
  }

  live() {
    this.#show("live", "Live");
  }

  polling() {
    this.#show("polling", "Polling");
  }

  finished() {
    this.#show("finished", "Finished");
  }

  stale(since, why) {
    this.#show("stale", `Stale since ${clock(since)}: ${why}`);
  }

  signedOut() {
    if (!this.#show("signed-out", "Signed out: ")) return;
    const link = document.createElement("a");
    link.href = signInAddress();
    link.textContent = "sign in again";
    this.element.append(link);
  }

  #show(state, text) {
    if (!this.element) return false;
    if (this.element.dataset.state === state && this.text === text) return false;
    this.element.dataset.state = state;
    this.element.textContent = text;
    this.text = text;
    return true;
  }
}
