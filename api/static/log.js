// Follows the log of a running trial: asks for what is new, adds it, and stays at the end while the
// box is ticked. What one has selected or scrolled to stays.
const MOST_CHARACTERS = 2_000_000;
const MOST_PARTS = 20;

let reading = null;

class Reading {
  constructor(box) {
    this.box = box;
    this.fence = box.dataset.fence;
    this.offset = Number(box.dataset.offset);
    this.complete = box.dataset.complete === "true";
    this.text = box.firstChild ?? box.appendChild(document.createTextNode(""));
    this.busy = false;
    box.dataset.keep = "children";
    box.removeAttribute("data-follow");
    this.#meetFollow();
    this.#toEnd();
  }

  get #follows() {
    const tick = document.getElementById("log-follow");
    return !tick || tick.checked;
  }

  #meetFollow() {
    const tick = document.getElementById("log-follow");
    if (!tick || this.complete) return;
    document.getElementById("log-follow-label").hidden = false;
    tick.addEventListener("change", () => this.#toEnd());
    this.box.addEventListener("wheel", (event) => {
      // Whoever scrolls up wants to read, not to be carried away.
      if (event.deltaY < 0) tick.checked = false;
    }, { passive: true });
  }

  #toEnd() {
    if (this.#follows) this.box.scrollTop = this.box.scrollHeight;
  }

  async update() {
    if (this.busy || this.complete) return;
    this.busy = true;
    try {
      if (this.box.dataset.fence !== this.fence) this.#restart();
      for (let count = 0; count < MOST_PARTS && (await this.#readPart()); count += 1);
    } catch {
      // The mark of the page says what is wrong.
    }
    this.busy = false;
  }

  #restart() {
    this.fence = this.box.dataset.fence;
    this.offset = 0;
    this.text.data = "";
  }

  // True when there is more.
  async #readPart() {
    const address = `${this.box.dataset.log}?offset=${this.offset}&fence=${this.fence}`;
    const response = await fetch(address, {
      headers: { Accept: "application/json" }, credentials: "same-origin",
    });
    if (!response.ok) throw new Error(String(response.status));
    const part = await response.json();
    if (part.total_bytes < this.offset) {
      // A very long log has lost its middle: what follows has other places now.
      this.#restart();
      return true;
    }
    this.offset = part.next_offset;
    this.complete = part.complete && part.next_offset >= part.total_bytes;
    if (part.text) this.#add(part.text);
    return part.next_offset < part.total_bytes && part.text !== "";
  }

  #add(text) {
    this.text.appendData(text);
    const excess = this.text.length - MOST_CHARACTERS;
    if (excess > 0) this.text.deleteData(0, excess);
    this.#toEnd();
  }
}

function meet() {
  const box = document.getElementById("log-text");
  if (!box || !box.dataset.log) return;
  if (!reading || reading.box !== box) reading = new Reading(box);
  reading.update();
}

meet();
document.addEventListener("labpool:refreshed", meet);
