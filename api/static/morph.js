// Makes one element equal to another with as few changes as it can. Children are matched by id,
// else by position and name. What a person has changed stays: open <details>, ticks, typed text,
// focus, selection. See ../templates/README.md for data-keep and data-follow.

export function morph(current, wanted) {
  const restoreFocus = rememberFocus(current);
  morphElement(current, wanted);
  restoreFocus();
}

function rememberFocus(root) {
  const active = document.activeElement;
  if (!active || !root.contains(active)) return () => {};
  const { selectionStart: start, selectionEnd: end } = active;
  return () => {
    // An element that had to move has lost its focus on the way.
    if (document.activeElement === active || !active.isConnected) return;
    active.focus({ preventScroll: true });
    if (typeof start === "number") active.setSelectionRange(start, end);
  };
}

function morphElement(current, wanted) {
  const keep = current.getAttribute("data-keep");
  if (keep === "") return;
  copyAttributes(current, wanted, keep === null ? [] : ["data-keep"]);
  if (keep !== "children") morphChildren(current, wanted);
}

function sameKind(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");
}

function copyAttributes(current, wanted, kept) {
  const keep = current.nodeName === "DETAILS" ? [...kept, "open"] : kept;
  for (const { name } of [...current.attributes]) {
    if (!keep.includes(name) && !wanted.hasAttribute(name)) current.removeAttribute(name);
  }
  for (const { name, value } of [...wanted.attributes]) {
    if (!keep.includes(name) && current.getAttribute(name) !== value) current.setAttribute(name, value);
  }
}

function follow(element) {
  // A log that is read at its end stays at its end.
  if (!element.hasAttribute("data-follow")) return () => {};
  const atEnd = element.scrollHeight - element.scrollTop - element.clientHeight < 8;
  return () => { if (atEnd) element.scrollTop = element.scrollHeight; };
}

function idsOf(parent) {
  return new Set([...parent.children].map((child) => child.id).filter(Boolean));
}

function move(parent, node, before) {
  // moveBefore() keeps focus and scroll; where a browser lacks it, focus is given back at the end.
  if (parent.moveBefore) parent.moveBefore(node, before);
  else parent.insertBefore(node, before);
}

function morphChildren(current, wanted) {
  const restore = follow(current);
  const wantedIds = idsOf(wanted);
  let here = current.firstChild;
  for (const next of [...wanted.childNodes]) {
    here = dropUnwanted(here, next, wantedIds);
    const match = here && sameKind(here, next) ? here : findLater(here, next);
    if (!match) {
      current.insertBefore(document.importNode(next, true), here);
    } else {
      if (match !== here) move(current, match, here);
      update(match, next);
      here = match.nextSibling;
    }
  }
  while (here) {
    const gone = here;
    here = here.nextSibling;
    gone.remove();
  }
  restore();
}

// Elements whose id is not wanted any more are in the way of those that are.
function dropUnwanted(from, next, wantedIds) {
  let here = from;
  while (here && !sameKind(here, next) && here.id && !wantedIds.has(here.id)) {
    const gone = here;
    here = here.nextSibling;
    gone.remove();
  }
  return here;
}

function update(match, next) {
  if (match.nodeType === Node.ELEMENT_NODE) {
    if (!match.isEqualNode(next)) morphElement(match, next);
  } else if (match.nodeValue !== next.nodeValue) {
    match.nodeValue = next.nodeValue;
  }
}

function findLater(from, next) {
  // Only elements with an id are worth a search: the others are matched where they stand.
  if (next.nodeType !== Node.ELEMENT_NODE || !next.id) return null;
  for (let node = from; node; node = node.nextSibling) {
    if (sameKind(node, next)) return node;
  }
  return null;
}
