"""What the TOML of a model says when the model trains itself."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Hyperparameter = Literal["optimizer", "learning_rate", "learning_rate_decay", "batch_size"]
"""What a spec may set of the training and a program may ignore."""


class Program(BaseModel):
    """Says that ``model.py`` is a ``labpool.sdk.Program``, which trains itself.

    ``uses`` are the hyperparameters that it heeds; a spec that sets another one is refused. Epochs,
    seed, early stopping and checkpoints are labpool's, and every program has them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    uses: list[Hyperparameter] = []
