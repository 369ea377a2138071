"""Submitting from the page: a form from the catalog, the spec beside it, checked as one types."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.accessibility import violations
from tests.browser.chromium import Guard
from tests.browser.conftest import Visit
from tests.browser.looking import focus_is_visible, heading, tab_to
from tests.browser.service import Filled, Service

A_SPEC = """kind: benchmark
name: Written by hand
kernel: dense_relu
device: gpu
"""


def spec_of(page: Page) -> str:
    """The spec as it stands beside the form."""
    return page.locator("#spec").input_value()


def expect_checked(page: Page, state: str) -> None:
    """Wait until the spec was checked, with this outcome."""
    expect(page.locator("#check-state")).to_have_attribute("data-state", state)


def arrived(page: Page) -> int:
    """Wait for the page of the experiment that was made; its number."""
    page.wait_for_url("**/experiments/*")
    expect(heading(page)).to_be_visible()
    return int(page.url.rpartition("/")[2])


def test_a_bad_value_is_named_at_its_field_mended_and_submitted(
    visit: Visit, guard: Guard, service: Service
) -> None:
    guard.allow("status of 422")
    page = visit("/submit?kind=train&model=mlp")
    expect_checked(page, "good")
    epochs = page.locator("#field-epochs")
    epochs.fill("many")
    expect_checked(page, "bad")
    expect(epochs).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#field-epochs-problem")).to_contain_text("whole number")
    assert violations(page) == []
    documents = guard.documents
    page.locator("#submit-button").press("Enter")
    expect(page.locator("#problems")).to_be_focused()
    page.locator("#problems").get_by_role("link", name="/epochs").click()
    expect(epochs).to_be_focused()
    assert guard.documents == documents, "a spec with a problem is not sent"

    epochs.fill("3")
    expect_checked(page, "good")
    expect(page.locator("#field-epochs-problem")).to_be_hidden()
    expect(page.locator("#problems")).to_be_hidden()
    page.locator("#field-name").fill("Mended in the form")
    page.get_by_role("button", name="Submit", exact=True).click()
    number = arrived(page)
    expect(heading(page)).to_have_text("Mended in the form")
    with service.client() as client:
        [trial] = client.trials(number)
        assert client.trial(trial.id).spec["epochs"] == 3
        client.cancel(number)


def test_fields_and_spec_follow_each_other(visit: Visit, guard: Guard) -> None:
    guard.allow("status of 422")
    page = visit("/submit?kind=train&model=softmax")
    page.locator("#field-epochs").fill("7")
    expect(page.locator("#spec")).to_have_value(re.compile("epochs: 7"))
    text = spec_of(page).replace("epochs: 7", "epochs: 9")
    page.locator("#spec").fill(text)
    expect(page.locator("#field-epochs")).to_have_value("9")
    page.get_by_role("radio", name="benchmark").check()
    expect(page.locator("#spec")).to_have_value(re.compile(r"kernel: \w+"))
    expect_checked(page, "good")


def test_a_search_is_said_in_fields(visit: Visit, guard: Guard) -> None:
    guard.allow("status of 422")
    page = visit("/submit?kind=sweep&model=mlp")
    expect(page.locator("#field-strategy-pruner-reduction")).to_be_hidden()
    page.locator("#field-strategy-method").select_option("tpe")
    expect(page.locator("#field-strategy-at_once")).to_be_visible()
    page.locator("#field-strategy-pruner-method").select_option("asha")
    expect(page.locator("#field-strategy-pruner-min_trials")).to_be_hidden()
    page.locator("#field-strategy-pruner-reduction").fill("4")
    page.locator("#field-base-epochs").fill("9")
    page.locator("#field-objective-metric").fill("val_loss")
    page.locator("#field-budget_slot_seconds").fill("600")
    fuse = page.locator("#field-fuse")
    fuse.fill("8")
    expect(page.locator("#spec")).to_have_value(
        re.compile(r"pruner: \{method: asha, reduction: 4\}")
    )
    expect(page.locator("#spec")).to_have_value(re.compile(r"^fuse: 8$", re.MULTILINE))
    expect_checked(page, "good")
    fuse.fill("1")
    expect_checked(page, "bad")
    expect(page.locator("#field-fuse-problem")).to_contain_text("off, auto")
    fuse.fill("auto")
    expect_checked(page, "good")
    page.locator("#field-strategy-pruner-method").select_option("median")
    expect(page.locator("#field-strategy-pruner-reduction")).to_be_hidden()
    expect(page.locator("#spec")).to_have_value(re.compile("pruner: {method: median}"))
    page.locator("#field-strategy-method").select_option("grid")
    expect(page.locator("#spec")).not_to_have_value(re.compile("trials:"))
    assert violations(page) == []


def test_a_list_of_layers_is_typed_and_its_mistakes_are_named(visit: Visit, guard: Guard) -> None:
    guard.allow("status of 422")
    page = visit("/submit?kind=train&model=layers")
    listed = page.locator("#field-parameters-layers")
    listed.fill("[{type: Flatten},\n {type: Dense, units: 12, activation: relu}]")
    lines = "  layers:\n    - {type: Flatten}\n    - {type: Dense, units: 12, activation: relu}\n"
    expect(page.locator("#spec")).to_have_value(re.compile(re.escape(lines)))
    expect_checked(page, "good")
    page.locator("#spec").fill(spec_of(page).replace("units: 12", "units: 13"))
    expect(listed).to_have_value(re.compile("units: 13"))
    for bad, words in (
        ("[{type: Lambda}]", "not 'Lambda'"),
        ("[{type: Dense", "be a list of layers"),
        ("[{type: Dense, units: 4}]", "takes a vector"),
    ):
        listed.fill(bad)
        expect_checked(page, "bad")
        expect(page.locator("#field-parameters-layers-problem")).to_contain_text(words)
    assert violations(page) == []


def test_without_javascript_the_spec_is_edited_checked_and_sent(
    visit: Visit, service: Service
) -> None:
    page = visit("/submit", javascript=False)
    page.get_by_label("Kind").first.select_option("benchmark")
    page.get_by_role("button", name="Begin with its example").click()
    assert "kind: benchmark" in spec_of(page)
    page.locator("#spec").fill(A_SPEC.replace("dense_relu", "dense_rely"))
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_role("alert")).to_contain_text("dense_relu")
    page.locator("#spec").fill(A_SPEC)
    page.get_by_role("button", name="Submit", exact=True).click()
    number = arrived(page)
    expect(heading(page)).to_have_text("Written by hand")
    with service.client() as client:
        client.cancel(number)


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_a_trial_is_cloned_and_edited(
    visit: Visit, service: Service, filled: Filled, javascript: bool
) -> None:
    trial_id = filled.sweep_trials[0]
    page = visit(f"/trials/{trial_id}", javascript=javascript)
    page.get_by_role("link", name="Clone and edit").click()
    known = page.locator("#duplicates")
    expect(known).to_contain_text(f"This has a result already: trial {trial_id} of ada")
    text = spec_of(page)
    assert "model: mlp" in text
    if javascript:
        # The page's script listens from then on.
        expect(page.locator("#fields")).to_be_enabled()
    page.locator("#spec").fill(text.replace("epochs: 3", "epochs: 5"))
    if javascript:
        expect(known).to_be_hidden()
        page.locator("#spec").fill(text)
        expect(known.get_by_role("link")).to_have_attribute("href", f"/trials/{trial_id}")
        page.locator("#spec").fill(text.replace("epochs: 3", "epochs: 5"))
        expect(known).to_be_hidden()
    page.get_by_role("button", name="Submit", exact=True).click()
    number = arrived(page)
    assert number != filled.sweep
    with service.client() as client:
        [trial] = client.trials(number)
        spec = client.trial(trial.id).spec
        old = client.trial(trial_id).spec
        assert spec["epochs"] == 5
        changed = {name for name in old if old[name] != spec[name]}
        assert changed <= {"epochs", "name", "notes", "tags"}
        client.cancel(number)


def test_an_experiment_is_cloned_with_all_of_its_sweep(visit: Visit, filled: Filled) -> None:
    page = visit(f"/experiments/{filled.sweep}")
    page.get_by_role("link", name="Clone and edit").click()
    assert "kind: sweep" in spec_of(page)
    expect_checked(page, "good")
    expect(page.locator("#check-state")).to_have_text("Makes 4 trials")


def test_a_session_that_ended_costs_no_typing(visit: Visit, guard: Guard, service: Service) -> None:
    guard.allow("status of 40[13]")
    text = service.session("grace")
    page = visit("/submit?kind=train&model=softmax", session=text)
    expect_checked(page, "good")
    service.end_session(text)
    page.locator("#field-name").fill("Typed before")
    expect_checked(page, "signed-out")
    assert "Typed before" in spec_of(page)
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()


def test_by_keyboard_alone(visit: Visit, service: Service) -> None:
    page = visit("/submit?kind=train&model=softmax")
    expect_checked(page, "good")
    tab_to(page, page.locator("#field-name"))
    assert focus_is_visible(page)
    page.keyboard.type("By keyboard")
    expect_checked(page, "good")
    tab_to(page, page.locator("#submit-button"), most=150)
    assert focus_is_visible(page)
    page.keyboard.press("Enter")
    number = arrived(page)
    expect(heading(page)).to_have_text("By keyboard")
    with service.client() as client:
        client.cancel(number)
