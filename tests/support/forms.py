"""What a browser without JavaScript makes of a page: its forms, its rows, its links."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from urllib.parse import urlencode


@dataclass
class Form:
    """A form that is sent by GET. `fields` are (name, value) of what would be sent as it stands."""

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    boxes: list[tuple[str, str]] = field(default_factory=list)

    def address(self, ticks: tuple[str, ...] = (), **typed: str) -> str:
        """Where the form leads after `typed` was typed and `ticks` ticked (these alone, if any)."""
        names = {name for name, _ in self.fields} | {name for name, _ in self.boxes}
        assert set(typed) <= names, f"no field {set(typed) - names}"
        box_values = {value for _, value in self.boxes}
        assert set(ticks) <= box_values, f"no box {set(ticks) - box_values}"
        box_names = {name for name, _ in self.boxes}
        sent = [
            (name, typed.get(name, value))
            for name, value in self.fields
            if not (ticks and name in box_names)
        ]
        sent += [(name, value) for name, value in self.boxes if value in ticks]
        return f"{self.action}?{urlencode(sent)}"


class _Forms(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: dict[str, Form] = {}
        self._here: Form | None = None
        self._select: str | None = None
        self._chosen: str | None = None
        self._later: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        for form_id, given in self._later:
            self._input(self.forms[form_id], given)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self._here = Form(given.get("action") or "", (given.get("method") or "get").lower())
            self.forms[given.get("id") or str(len(self.forms))] = self._here
        elif tag == "input" and given.get("form"):
            self._later.append((str(given["form"]), given))
        elif tag == "input" and self._here:
            self._input(self._here, given)
        elif tag == "select":
            self._select, self._chosen = given.get("name"), None
        elif tag == "option" and self._select:
            first = self._chosen is None
            if first or "selected" in given:
                # Without a value an option's text is sent; the parser gives it to handle_data.
                self._chosen = given.get("value", "\0")

    def handle_data(self, data: str) -> None:
        if self._select and self._chosen == "\0":
            self._chosen = data.strip()

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._here = None
        elif tag == "select" and self._select:
            if self._here:
                self._here.fields.append((self._select, self._chosen or ""))
            self._select = None

    def _input(self, form: Form, given: dict[str, str | None]) -> None:
        name, value = given.get("name"), given.get("value") or ""
        if not name:
            return
        if given.get("type") == "checkbox":
            form.boxes.append((name, value))
            if "checked" not in given:
                return
        form.fields.append((name, value))


def form_of(page: str, form_id: str) -> Form:
    """The form of this id, as a browser would send it."""
    form = _Forms(page).forms[form_id]
    assert form.method == "get"
    return form


def row_ids(page: str, kind: str) -> list[int]:
    """The numbers of the rows `<tr id="kind-N">`, from top to bottom."""
    return [int(found) for found in re.findall(rf'<tr id="{kind}-(\d+)"', page)]


def cell(page: str, row: str, column: str) -> str:
    """The text of a row's cell; `row` is the row's id."""
    body = page.partition(f'<tr id="{row}"')[2].partition("</tr>")[0]
    inside = body.partition(f'data-column="{column}"')[2].partition(">")[2].partition("</td>")[0]
    return " ".join(unescape(re.sub(r"<[^>]+>", "", inside)).split())


def heads(page: str) -> list[str]:
    """The texts of the first table's column heads."""
    row = page.partition("<thead>")[2].partition("</thead>")[0]
    found = re.findall(r"<th[^>]*>(.*?)</th>", row, re.DOTALL)
    return [
        " ".join(unescape(re.sub(r"<[^>]+>", "", text)).strip("↑↓ \n").split()) for text in found
    ]


def link_of(page: str, text: str) -> str:
    """The address of the first link whose text begins with `text`."""
    for address, inside in re.findall(r'<a [^>]*?href="([^"]+)"[^>]*>(.*?)</a>', page, re.DOTALL):
        if unescape(re.sub(r"<[^>]+>", "", inside)).strip().startswith(text):
            return unescape(address)
    raise AssertionError(f"no link {text!r}")
