"""The curves of trials and experiments: smoothing, scales, reading values, downloads."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.looking import focus_is_visible, tab_to
from tests.browser.service import Filled, Service

LOSS = "#chart-loss"


def charts_of(visit: Visit, path: str, *, user: str = "grace") -> Page:
    """A page whose charts the script has taken over."""
    page = visit(path, user=user)
    expect(page.locator("[data-chart-set]")).to_have_attribute("data-keep", "children")
    expect(page.locator(".chart .plot svg path").first).to_be_attached()
    return page


def drawn(page: Page) -> list[str | None]:
    """The shapes of the loss chart's curves."""
    return [path.get_attribute("d") for path in page.locator(f"{LOSS} .series path").all()]


def test_smoothing_keeps_the_raw_line_behind_and_stays_in_the_address(
    visit: Visit, filled: Filled
) -> None:
    page = charts_of(visit, f"/trials/{filled.trained}")
    plain = drawn(page)
    expect(page.locator(f"{LOSS} .raw")).to_have_count(0)
    page.get_by_label("Smoothing").press("End")
    raw = page.locator(f"{LOSS} .raw path")
    expect(raw).to_have_count(len(plain))
    assert [path.get_attribute("d") for path in raw.all()] == plain, "as it was measured"
    smooth = page.locator(f"{LOSS} .series:not(.raw) path")
    assert [path.get_attribute("d") for path in smooth.all()] != plain
    assert "smooth=0.99" in page.url
    page.reload()
    expect(page.locator(f"{LOSS} .raw path")).to_have_count(len(plain))


def test_log_scale_and_what_curves_run_over(visit: Visit, filled: Filled) -> None:
    page = charts_of(visit, f"/trials/{filled.trained}")
    linear = drawn(page)
    page.get_by_label("Log scale").check()
    assert drawn(page) != linear
    assert "y=log" in page.url
    over = page.get_by_label("Over")
    for choice, label in (("step", "step"), ("time", "time (s)"), ("epoch", "epoch")):
        over.select_option(choice)
        expect(page.locator(f"{LOSS} .axis-label")).to_have_text(label)
        assert f"x={choice}" in page.url


@pytest.mark.parametrize("query", ["smooth=0.9", "y=log", "x=step"])
def test_without_javascript_the_same_controls_are_a_form(
    visit: Visit, filled: Filled, query: str
) -> None:
    page = visit(f"/trials/{filled.trained}", javascript=False)
    plain = page.locator(f"{LOSS} svg").inner_html()
    page.goto(f"{page.url}?{query}")
    assert page.locator(f"{LOSS} svg").inner_html() != plain
    name, _, value = query.partition("=")
    control = page.locator(f"[data-chart-set] [name={name}]")
    assert control.is_checked() if name == "y" else control.input_value() == value
    page.get_by_role("button", name="Draw").click()
    assert query in page.url


def test_values_are_read_by_pointer_and_by_keys_in_all_charts_at_once(
    visit: Visit, filled: Filled
) -> None:
    page = charts_of(visit, f"/trials/{filled.trained}")
    other = page.locator("#chart-accuracy figcaption")
    before = other.inner_text()
    page.locator(f"{LOSS} .plot").hover(position={"x": 70, "y": 80})
    expect(page.locator(f"{LOSS} figcaption")).to_contain_text("epoch")
    expect(other).to_contain_text("epoch")
    page.mouse.move(5, 5)
    expect(other).to_have_text(before, use_inner_text=True)

    plot = page.locator(f"{LOSS} .plot")
    tab_to(page, plot)
    assert focus_is_visible(page)
    page.keyboard.press("Home")
    first = plot.get_attribute("aria-valuetext")
    page.keyboard.press("ArrowRight")
    assert plot.get_attribute("aria-valuetext") != first
    assert "training" in (first or "")
    assert "validation" in (first or "")


def test_the_curves_are_downloaded_as_they_were_recorded(
    visit: Visit, service: Service, filled: Filled, tmp_path: Path
) -> None:
    page = charts_of(visit, f"/trials/{filled.trained}")
    with page.expect_download() as found:
        page.get_by_role("button", name="CSV", exact=True).click()
    found.value.save_as(tmp_path / "curves.csv")
    with (tmp_path / "curves.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with service.client() as client:
        curve = client.curves(filled.trained)["val_loss"]
    values = [float(row["value"]) for row in rows if row["metric"] == "val_loss"]
    assert values == pytest.approx(list(curve.values))
    assert {row["trial"] for row in rows} == {str(filled.trained)}

    with page.expect_download(lambda download: "loss" in download.suggested_filename) as found:
        page.get_by_role("button", name="SVG").click()
    found.value.save_as(tmp_path / "loss.svg")
    picture = ET.parse(tmp_path / "loss.svg").getroot()  # noqa: S314 - our own page wrote it
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(picture.findall(".//{*}path")) >= 2


def test_a_sweep_draws_one_curve_a_trial_of_the_metric_one_chooses(
    visit: Visit, filled: Filled
) -> None:
    page = charts_of(visit, f"/experiments/{filled.sweep}", user="ada")
    legend = page.locator("#curves .legend li")
    expect(legend).to_have_count(len(filled.sweep_trials))
    before = page.locator("#curves .series path").first.get_attribute("d")
    choice = page.get_by_label("Metric")
    other = next(
        name
        for name in choice.locator("option").evaluate_all("(all) => all.map((one) => one.value)")
        if name != choice.input_value()
    )
    choice.select_option(other)
    expect(page.locator("#curves figcaption").first).to_contain_text(other.replace("_", " ")[1:])
    expect(page.locator("#curves .series path").first).not_to_have_attribute("d", before or "")
    assert f"metric={other}" in page.url
    colour = colour_of(page, "#curves .legend li", filled.sweep_trials[0])
    trial = visit(f"/trials/{filled.sweep_trials[0]}", user="ada")
    swatch = trial.locator("h1 .swatch").evaluate("(element) => getComputedStyle(element).color")
    assert swatch == colour, "a trial has the same colour on every page"


def colour_of(page: Page, selector: str, trial_id: int) -> str:
    """The colour of a trial's entry in a legend."""
    entry = page.locator(selector, has=page.locator(f'a[href="/trials/{trial_id}"]'))
    colour: str = entry.locator("i").evaluate("(element) => getComputedStyle(element).color")
    return colour
