"""A trained model tried on its trial's page: drawn, uploaded, by numbers, without JavaScript."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sklearn.datasets import load_digits

from tests.browser.accessibility import violations
from tests.browser.chromium import Guard
from tests.browser.conftest import NARROW, WIDE, Visit
from tests.browser.service import Filled, Service
from tests.support.images import black_on_white, grey_png

SPIRALS = {"kind": "train", "model": "mlp", "dataset": "spirals", "epochs": 2}
FIRST_MS = 90_000
# Strokes of a seven and a one on paper of 280 by 280.
SEVEN = [[(80, 60), (200, 60), (130, 220)], [(110, 140), (190, 140)]]
ONE = [[(110, 90), (150, 50), (150, 230)]]

# A form as the server sends it, in the place of the one that is there.
ANOTHER_FORM = """async () => {
  const text = await (await fetch(location.href)).text();
  const sent = new DOMParser().parseFromString(text, "text/html").getElementById("try-it");
  document.getElementById("try-it").replaceWith(document.importNode(sent, true));
  document.dispatchEvent(new CustomEvent("labpool:refreshed"));
}"""
# A refresh that brings something new above the paper.
CHANGED_PAGE = """async () => {
  const { morph } = await import("/static/morph.js");
  const text = await (await fetch(location.href)).text();
  const sent = new DOMParser().parseFromString(text, "text/html").getElementById("live");
  sent.querySelector("#facts").insertAdjacentHTML("beforebegin", "<p class='notice'>New.</p>");
  morph(document.getElementById("live"), sent);
  document.dispatchEvent(new CustomEvent("labpool:refreshed"));
}"""


@pytest.fixture(autouse=True)
def at_work(service: Service) -> None:
    service.worker()


def draw(page: Page, strokes: list[list[tuple[int, int]]]) -> None:
    """With the mouse, as a person does: who sees the paper move follows it."""
    expect(page.locator("[data-chart-set]")).to_have_attribute("data-keep", "children")
    paper = page.locator("#draw")
    factor = paper.evaluate("(element) => element.clientWidth") / 280
    for stroke in strokes:
        for place, (x, y) in enumerate(stroke):
            # It waits until the paper has come to rest and is what the mouse would meet.
            paper.hover(position={"x": x * factor, "y": y * factor})
            if place == 0:
                page.mouse.down()
        page.mouse.up()


def expect_answer(page: Page) -> None:
    expect(page.locator("#try-answer #answer")).to_have_attribute(
        "data-finished", "true", timeout=FIRST_MS
    )


def test_it_works(visit: Visit, filled: Filled) -> None:
    page = visit(f"/trials/{filled.trained}")
    expect(page.locator("#draw")).to_be_visible()
    draw(page, ONE)
    expect_answer(page)
    answer = page.locator("#try-answer #answer")
    expect(answer.locator("progress")).to_have_count(10)
    expect(answer.locator(".guess")).to_have_text(re.compile(r"Class\s+\d\s+with probability"))
    expect(answer).to_contain_text("Light and dark were changed about")
    seen = answer.locator(".seen canvas")
    expect(seen).to_have_attribute("width", "8")
    lit = seen.evaluate(
        "(canvas) => [...canvas.getContext('2d').getImageData(0, 0, 8, 8).data]"
        ".filter((value, index) => index % 4 === 0 && value > 128).length"
    )
    assert 5 < lit < 40, "the ink is light on dark, and what was sent is drawn"
    page.locator("#draw-clear").click()
    expect(answer).to_have_count(0)
    draw(page, SEVEN)
    expect_answer(page)


@pytest.mark.parametrize("pressed", [False, True])
def test_a_form_that_is_new_on_the_page_is_drawn_on_as_the_first(
    visit: Visit, filled: Filled, pressed: bool
) -> None:
    page = visit(f"/trials/{filled.trained}")
    draw(page, ONE)
    expect_answer(page)
    if pressed:
        page.locator("#draw").hover(position={"x": 60, "y": 60})
        page.mouse.down()
    page.evaluate(ANOTHER_FORM)
    expect(page.locator("#try-answer #answer")).to_have_count(0)
    page.mouse.up()
    draw(page, SEVEN)
    expect_answer(page)
    page.locator("#draw-clear").click()
    expect(page.locator("#try-answer #answer")).to_have_count(0)


def test_a_page_that_changes_leaves_the_stroke_alone(visit: Visit, filled: Filled) -> None:
    page = visit(f"/trials/{filled.trained}")
    draw(page, [])
    paper = page.locator("#draw")
    paper.hover(position={"x": 60, "y": 60})
    page.mouse.down()
    paper.hover(position={"x": 200, "y": 60})
    page.evaluate(CHANGED_PAGE)
    paper.hover(position={"x": 130, "y": 220})
    page.mouse.up()
    dark = paper.evaluate(
        "(paper) => [...paper.getContext('2d').getImageData(0, 0, 280, 280).data]"
        ".filter((value, index) => index % 4 === 0 && value < 128).length"
    )
    assert dark > 7000, "two lines of 24 by 140 and 24 by 175"
    expect_answer(page)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_answers_are_for_everybody_at_any_width(
    visit: Visit, filled: Filled, width: int, dark: bool
) -> None:
    page = visit(f"/trials/{filled.trained}", width=width, dark=dark)
    draw(page, SEVEN)
    expect_answer(page)
    assert violations(page) == []
    assert page.evaluate("() => document.scrollingElement.scrollWidth") <= width


def test_an_upload_needs_no_mouse(
    visit: Visit, filled: Filled, tmp_path: Path, guard: Guard
) -> None:
    guard.allow("status of 415")
    picture = tmp_path / "digit.png"
    picture.write_bytes(grey_png(black_on_white(load_digits().images[0] / 16, 200, 40)))
    page = visit(f"/trials/{filled.trained}")
    page.locator("#try-file").set_input_files(picture)
    page.locator("#try-form button[type=submit]").press("Enter")
    expect_answer(page)
    expect(page.locator("#try-answer .guess strong")).to_have_text("0")
    expect(page).to_have_url(re.compile(rf"/trials/{filled.trained}$"))
    (tmp_path / "bad.png").write_bytes(b"GIF89a")
    page.locator("#try-file").set_input_files(tmp_path / "bad.png")
    with page.expect_response(re.compile("predictions$")) as refused:
        page.locator("#try-form button[type=submit]").press("Enter")
    assert refused.value.status == 415
    expect(page.locator("#try-answer")).to_contain_text("It is a GIF")


def test_it_works_without_javascript(visit: Visit, filled: Filled, tmp_path: Path) -> None:
    picture = tmp_path / "digit.png"
    picture.write_bytes(grey_png(black_on_white(load_digits().images[0] / 16, 200, 40)))
    page = visit(f"/trials/{filled.trained}", javascript=False)
    expect(page.locator("#draw")).to_be_hidden()
    page.locator("#try-file").set_input_files(picture)
    page.locator("#try-form button[type=submit]").click()
    expect(page).to_have_url(re.compile(r"/predictions/\d+$"))
    for _ in range(10):
        if page.locator("#answer[data-finished=true]").count():
            break
        page.get_by_role("link", name="Look again").click()
    expect(page.locator(".guess strong")).to_have_text("0")
    page.get_by_role("link", name="Ask again").click()
    expect(page).to_have_url(re.compile(rf"/trials/{filled.trained}#try-it$"))


def test_numbers_of_vectors(visit: Visit, service: Service, guard: Guard) -> None:
    guard.allow("status of 422")
    with service.client("grace") as grace:
        trained = grace.submit(SPIRALS)
        assert grace.wait(trained.id, 120).succeeded
    page = visit(f"/trials/{trained.trial_ids[0]}")
    expect(page.locator("#draw")).to_have_count(0)
    page.locator("#try-numbers").fill("0.5, 0.25\n-0.5 -0.25")
    page.locator("#try-form button[type=submit]").click()
    expect_answer(page)
    expect(page.locator("#try-answer tbody tr")).to_have_count(2)
    page.locator("#try-numbers").fill("0.5, 0.25, 1")
    page.locator("#try-form button[type=submit]").click()
    expect(page.locator("#try-answer")).to_contain_text("an example of this model's data is 2")
