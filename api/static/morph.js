// Makes one element equal to another with as few changes as it can. Children are matched by id,
// else by position and name. What a person has changed stays: open <details>, typed text.

export function morph(current, wanted) {
  copyAttributes(current, wanted);
  morphChildren(current, wanted);
}

function sameKind(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");
}

function copyAttributes(current, wanted) {
  const keep = current.nodeName === "DETAILS" ? "open" : null;
  for (const { name } of [...current.attributes]) {
    if (name !== keep && !wanted.hasAttribute(name)) current.removeAttribute(name);
  }
  for (const { name, value } of [...wanted.attributes]) {
    if (name !== keep && current.getAttribute(name) !== value) current.setAttribute(name, value);
  }
}

function follow(element) {
  // A log that is read at its end stays at its end.
  if (!element.hasAttribute("data-follow")) return () => {};
  const atEnd = element.scrollHeight - element.scrollTop - element.clientHeight < 8;
  return () => { if (atEnd) element.scrollTop = element.scrollHeight; };
}

function morphChildren(current, wanted) {
  const restore = follow(current);
  let here = current.firstChild;
  for (const next of [...wanted.childNodes]) {
    const match = here && sameKind(here, next) ? here : findLater(here, next);
    if (!match) {
      current.insertBefore(document.importNode(next, true), here);
      continue;
    }
    while (here !== match) {
      const gone = here;
      here = here.nextSibling;
      gone.remove();
    }
    if (match.nodeType === Node.ELEMENT_NODE) {
      if (!match.isEqualNode(next)) morph(match, next);
    } else if (match.nodeValue !== next.nodeValue) {
      match.nodeValue = next.nodeValue;
    }
    here = match.nextSibling;
  }
  while (here) {
    const gone = here;
    here = here.nextSibling;
    gone.remove();
  }
  restore();
}

function findLater(from, next) {
  // Only elements with an id are worth a search: the others are matched where they stand.
  if (next.nodeType !== Node.ELEMENT_NODE || !next.id) return null;
  for (let node = from; node; node = node.nextSibling) {
    if (sameKind(node, next)) return node;
  }
  return null;
}
