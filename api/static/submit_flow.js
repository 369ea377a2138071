// Reads a list of layers as it is typed: YAML in brackets, such as [{type: Dense, units: 10}], or JSON.
// Text that is neither goes into the spec as text: the server then says what is wrong with it.
import { Written } from "./submit_yaml.js";

const TOKEN = /\s*(?:([[\]{},:])|("(?:[^"\\]|\\.)*")|([^\s[\]{},:"][^[\]{},:"\n]*))/y;
const PLAIN_VALUE = /^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|true|false|null)$/;
const DEEPEST = 8;

function tokensOf(text) {
  const found = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.trimEnd().length) {
    const match = TOKEN.exec(text);
    if (!match) throw new SyntaxError("no token");
    const [, mark, quoted, bare] = match;
    found.push(mark ? { mark } : { text: quoted ? JSON.parse(quoted) : bare.trim(), bare: !quoted });
  }
  return found;
}

class Reader {
  constructor(text) { this.tokens = tokensOf(text); this.next = 0; }

  take(mark) {
    if (this.tokens[this.next]?.mark !== mark) return false;
    this.next += 1;
    return true;
  }

  need(mark) { if (!this.take(mark)) throw new SyntaxError(`no ${mark}`); }

  word() {
    const token = this.tokens[this.next];
    if (token?.text === undefined) throw new SyntaxError("no text");
    this.next += 1;
    return token;
  }

  value(depth) {
    if (depth > DEEPEST) throw new SyntaxError("nested too deeply");
    if (this.take("[")) return this.inside("]", [], (found) => found.push(this.value(depth + 1)));
    if (this.take("{")) {
      return Object.fromEntries(this.inside("}", [], (found) => {
        const key = this.word().text;
        this.need(":");
        // A key given twice would be lost here; as text the server tells of it.
        if (found.some(([known]) => known === key)) throw new SyntaxError("given twice");
        found.push([key, this.value(depth + 1)]);
      }));
    }
    const { text, bare } = this.word();
    return bare && PLAIN_VALUE.test(text) ? new Written(text) : text;
  }

  inside(end, found, one) {
    while (!this.take(end)) {
      one(found);
      if (this.take(end)) break;
      this.need(",");
    }
    return found;
  }
}

export function readFlow(text) {
  try {
    const reader = new Reader(text);
    const value = reader.value(0);
    return reader.next === reader.tokens.length ? value : text;
  } catch {
    return text;
  }
}
