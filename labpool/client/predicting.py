"""Ask trained models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labpool.client.errors import NoAnswer, WaitTimeout
from labpool.client.records import Prediction
from labpool.client.transport import Transport

# The service's own bound on one request that waits.
LONGEST_WAIT_S = 25.0
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
TIMEOUT_S = 180.0


class Predicting:
    """The part of a client that asks trained models."""

    _transport: Transport
    _pause: Callable[[float], None]
    _clock: Callable[[], float]

    def predict(
        self,
        trial_id: int,
        inputs: Path | bytes | list[Any],
        *,
        turn_over: str = "auto",
        timeout_s: float = TIMEOUT_S,
    ) -> Prediction:
        """What a trial's best checkpoint makes of a picture, of numbers or of a file of examples.

        `inputs` are nested lists (one example or several), the bytes of a PNG, JPEG, NPZ, NPY, IDX
        or CSV file, or the path to one. `turn_over` (auto, yes, no) says whether a picture's light
        and dark change places. Raises NoAnswer when there is none, saying why, and WaitTimeout.
        """
        data = inputs.read_bytes() if isinstance(inputs, Path) else inputs
        began_s, pause_s = self._clock(), FIRST_PAUSE_S
        found = self._ask(trial_id, data, turn_over, min(timeout_s, LONGEST_WAIT_S))
        while not found.finished:
            if self._clock() - began_s + pause_s > timeout_s:
                raise WaitTimeout(
                    f"Prediction {found.id} was not answered within {timeout_s:g} s: "
                    f"{found.waiting or found.state}"
                )
            self._pause(pause_s)
            pause_s = min(1.5 * pause_s, LONGEST_PAUSE_S)
            found = self.prediction(trial_id, found.id)
        if found.state != "done":
            raise NoAnswer(found.reason or found.state)
        return found

    def prediction(self, trial_id: int, prediction_id: int) -> Prediction:
        """A prediction as it is now: perhaps not answered yet."""
        answer = self._transport.get(f"/trials/{trial_id}/predictions/{prediction_id}")
        return Prediction.model_validate(answer)

    def _ask(
        self, trial_id: int, data: bytes | list[Any], turn_over: str, wait_s: float
    ) -> Prediction:
        content, media_type = data, "application/octet-stream"
        if not isinstance(content, bytes):
            content, media_type = json.dumps({"inputs": data}).encode(), "application/json"
        parameters: dict[str, object] = {"wait": wait_s, "turn_over": turn_over}
        answer = self._transport.send(
            "POST",
            f"/trials/{trial_id}/predictions",
            parameters=parameters,
            content=content,
            headers={"Content-Type": media_type},
            repeat=False,
        )
        return Prediction.model_validate(answer.json())
