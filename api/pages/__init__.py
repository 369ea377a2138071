"""The pages: server-rendered, readable without JavaScript, one module a page."""

from __future__ import annotations

from flask import Flask

from api.pages import (
    account,
    boards,
    compare,
    datasets,
    experiment_list,
    experiments,
    filters,
    frame,
    pausing,
    pool,
    predictions,
    session,
    static,
    submit,
    trial_list,
    trials,
    turns,
    upkeep,
    users,
)

BLUEPRINTS = (
    boards.pages,
    compare.pages,
    experiment_list.pages,
    experiments.pages,
    trial_list.pages,
    trials.pages,
    predictions.pages,
    pausing.pages,
    turns.pages,
    pool.pages,
    datasets.pages,
    upkeep.pages,
    submit.pages,
    account.pages,
    users.pages,
    session.pages,
    static.pages,
)


def install(app: Flask) -> None:
    """Give `app` the pages and what their templates need."""
    filters.install(app)
    frame.install(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
