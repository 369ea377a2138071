// Listens to the server's event stream. The browser opens it again by itself when the connection
// breaks, and says then where it left off; when the server refuses (too many streams, signed out),
// it gives up, and this tries again later: meanwhile `onDown` lets the page ask by itself.
const RETRY_REFUSED_MS = 30000;
// The server asks to come back after two seconds.
const BROKEN_AFTER_MS = 4000;

export class Stream {
  // `handlers`: onUp() after every opening, onChange(topics), onEnd(reason), onDown() when there is
  // no stream for now.
  constructor(topics, handlers) {
    this.address = `/api/v1/stream?topics=${encodeURIComponent(topics)}`;
    this.handlers = handlers;
    this.source = null;
    this.timer = null;
  }

  get isUp() {
    return this.up === true;
  }

  open() {
    this.close();
    const source = new EventSource(this.address);
    this.source = source;
    source.addEventListener("hello", () => {
      this.up = true;
      this.handlers.onUp();
    });
    source.addEventListener("changed", (event) => {
      this.handlers.onChange(JSON.parse(event.data).topics);
    });
    source.addEventListener("end", (event) => this.#ended(JSON.parse(event.data).reason));
    source.addEventListener("error", () => this.#broken(source));
  }

  close() {
    window.clearTimeout(this.timer);
    this.timer = null;
    this.up = false;
    if (this.source) this.source.close();
    this.source = null;
  }

  #ended(reason) {
    // After its time the stream is only opened again: nothing is wrong, and nothing is missed.
    if (reason !== "time") {
      this.up = false;
      this.handlers.onDown(reason);
    }
  }

  #broken(source) {
    if (source !== this.source) return;
    const refused = source.readyState === EventSource.CLOSED;
    if (this.up || refused) {
      // The end of a stream's time looks like a break; it is one when no "hello" follows soon.
      this.up = false;
      window.clearTimeout(this.timer);
      const wait = refused ? RETRY_REFUSED_MS : BROKEN_AFTER_MS;
      this.timer = window.setTimeout(() => {
        if (refused) this.open();
        else if (!this.up) this.handlers.onDown("broken");
      }, wait);
    }
    if (refused) this.handlers.onDown("refused");
  }
}
