"""One claimed prediction, handed to a runner and answered: all within a bound."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import Final

from db import predictions
from db.predictions import ClaimedPrediction
from labpool.catalog import Catalog
from worker.attempt import FOR_PEOPLE, OtherCatalog, reference
from worker.database_access import DatabaseAway
from worker.files import NotAsAnnounced, check, fetch
from worker.guards import Breach
from worker.host import Host
from worker.patience import PatientStore
from worker.process import RunnerGone
from worker.protocol import (
    CodeReference,
    FromRunner,
    Predict,
    Predicted,
    ProtocolError,
    Unpredicted,
    encode,
)
from worker.watch import Ended, Item
from worker.watched import WatchedRunner

logger = logging.getLogger(__name__)

LEASE_S: Final = 20.0
BEAT_S: Final = 5.0
TRY_LIMIT_S: Final = 50.0
"""Of one try, once the runner is ready: two of them fit into the time that a question has."""
MOST_CHECKPOINTS: Final = 8
_TICK_S = 0.5
_FLOAT_BYTES = 4


class NoAnswer(Exception):
    """This try came to nothing. ``again``: another may come to something."""

    def __init__(self, reason_kind: str, reason: str, again: bool) -> None:
        super().__init__(reason)
        self.reason_kind = reason_kind
        self.reason = reason
        self.again = again


class Checkpoints:
    """Copies of the last few checkpoints that were asked, beside the runner."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._there: OrderedDict[str, Path] = OrderedDict()

    def bring(self, host: Host, claimed: ClaimedPrediction, store: PatientStore) -> Path:
        """A copy of the question's checkpoint. Raises NoAnswer, OSError."""
        digest = claimed.checkpoint.sha256
        path = self._there.pop(digest, None)
        if path is None or not path.is_file():
            path = self._folder / f"{digest}.npz"
            copied = store.do(lambda: fetch(host.store, claimed.checkpoint.key, digest, path))
            if not copied:
                raise NoAnswer(
                    "no_checkpoint",
                    f"The checkpoint of epoch {claimed.checkpoint.epoch} is damaged or gone.",
                    again=False,
                )
        self._there[digest] = path
        while len(self._there) > MOST_CHECKPOINTS:
            _, oldest = self._there.popitem(last=False)
            oldest.unlink(missing_ok=True)
        return path

    def forget(self, digest: str) -> None:
        """The runner could not load it: the copy may be damaged."""
        path = self._there.pop(digest, None)
        if path is not None:
            path.unlink(missing_ok=True)


class Answering:
    """One try at one question, in the predictor's thread."""

    def __init__(
        self,
        host: Host,
        claimed: ClaimedPrediction,
        folder: Path,
        checkpoints: Checkpoints,
        stopping: Callable[[], bool],
    ) -> None:
        self._host = host
        self._claimed = claimed
        self._folder = folder
        self._checkpoints = checkpoints
        self._stopping = stopping
        self._clock = host.clock
        self._beat_due_s = self._clock() + BEAT_S
        self._end_s = self._clock() + claimed.left_s
        self._input = f"input-{claimed.prediction_id}-{claimed.fence}.bin"
        self._output: str | None = None

    def carry_out(self, runner_of: Callable[[], WatchedRunner]) -> bool:
        """Answer it, give it back or end it. False when the runner is not to be used again.

        Raises DatabaseAway: the lease runs out then. Raises FencedOff: somebody else has it.
        """
        runner = None
        try:
            message = self._message()
            runner = runner_of()
            self._send(runner, message)
            self._record(self._wait(runner))
            return True
        except NoAnswer as trouble:
            return self._give_up(trouble, runner)
        except OSError as error:
            reason = f"No folder or runner could be made for it: {error}."
            return self._give_up(NoAnswer("no_runner", reason, again=True), runner)
        finally:
            for name in (self._input, self._output):
                if name is not None:
                    (self._folder / name).unlink(missing_ok=True)

    def _message(self) -> Predict:
        claimed, catalog = self._claimed, self._host.catalog
        try:
            code, data = _references(claimed, catalog)
        except OtherCatalog as error:
            raise NoAnswer("internal", str(error), again=True) from None
        store = PatientStore(self._beat, lambda: True, self._must_stop, self._clock)
        checkpoint = self._checkpoints.bring(self._host, claimed, store)
        (self._folder / self._input).write_bytes(claimed.input)
        return Predict(
            prediction=claimed.prediction_id,
            fence=claimed.fence,
            spec={key: value for key, value in claimed.spec.items() if key not in FOR_PEOPLE},
            code=code,
            data=data,
            checkpoint=str(checkpoint),
            checkpoint_sha256=claimed.checkpoint.sha256,
            folder=str(self._folder),
            input=self._input,
            form=claimed.form,  # type: ignore[arg-type]
            options=dict(claimed.options),
        )

    def _send(self, runner: WatchedRunner, message: Predict) -> None:
        try:
            encode(message)
        except ProtocolError as error:
            raise NoAnswer("internal", f"The question is too long: {error}", again=False) from None
        runner.note_given()
        try:
            runner.send(message)
        except RunnerGone:
            # Its end is in the inbox, with the reason.
            logger.warning("the runner for predictions is gone")

    def _wait(self, runner: WatchedRunner) -> Predicted:
        """The runner's answer. Raises NoAnswer when it gives none in time, or ends."""
        began_s: float | None = None
        while True:
            now = self._clock()
            if began_s is None and runner.is_ready:
                began_s = now
            if self._must_stop():
                raise _shut_down()
            if now >= self._end_s or (began_s is not None and now - began_s >= TRY_LIMIT_S):
                since_s = now - (began_s if began_s is not None else now)
                raise NoAnswer(
                    "stalled", f"The model did not answer within {since_s:.0f} s.", again=True
                )
            self._beat()
            found = self._heard(runner, runner.receive(min(_TICK_S, self._end_s - now)))
            if found is not None:
                return found

    def _heard(self, runner: WatchedRunner, item: Item | None) -> Predicted | None:
        if isinstance(item, Ended | Breach) and self._must_stop():
            raise _shut_down()
        if isinstance(item, Ended):
            ending = runner.retire()
            raise NoAnswer(ending.reason_kind, ending.reason, again=True)
        if isinstance(item, Breach):
            raise NoAnswer(item.reason_kind, item.reason, again=True)
        if not isinstance(item, Predicted | Unpredicted) or not self._is_mine(item):
            return None
        if isinstance(item, Predicted):
            return item
        if item.reason_kind == "internal":
            self._checkpoints.forget(self._claimed.checkpoint.sha256)
        raise NoAnswer(item.reason_kind, item.reason, again=item.reason_kind == "out_of_memory")

    def _is_mine(self, message: FromRunner) -> bool:
        mine = (self._claimed.prediction_id, self._claimed.fence)
        return isinstance(message, Predicted | Unpredicted) and mine == (
            message.prediction,
            message.fence,
        )

    def _record(self, message: Predicted) -> None:
        claimed = self._claimed
        wanted = sum(prod(array.shape) for array in message.arrays) * _FLOAT_BYTES
        if wanted != message.bytes:
            raise NoAnswer("internal", "The runner's answer is not of its own size.", again=False)
        self._output = message.file
        try:
            path = check(self._folder, message.file, message.bytes, message.sha256)
        except NotAsAnnounced as error:
            raise NoAnswer("internal", str(error), again=False) from None
        outputs = path.read_bytes()
        if sha256(outputs).hexdigest() != message.sha256:
            raise NoAnswer("internal", "The runner changed its answer.", again=False)
        arrays = [array.model_dump(mode="json") for array in message.arrays]
        self._host.database.insist(
            lambda session: predictions.answer(
                session, claimed.prediction_id, claimed.fence, arrays, outputs, message.about
            ),
            self._must_give_up,
        )

    def _give_up(self, trouble: NoAnswer, runner: WatchedRunner | None) -> bool:
        claimed = self._claimed
        logger.warning("prediction %d: %s", claimed.prediction_id, trouble.reason)
        end = predictions.give_back if trouble.again else predictions.fail
        self._host.database.insist(
            lambda session: end(
                session, claimed.prediction_id, claimed.fence, trouble.reason_kind, trouble.reason
            ),
            self._must_give_up,
        )
        # What the input's sender got wrong leaves no mark on the process.
        return runner is None or (not trouble.again and trouble.reason_kind == "user_error")

    def _beat(self) -> None:
        claimed = self._claimed
        if self._clock() < self._beat_due_s:
            return
        self._beat_due_s = self._clock() + BEAT_S
        try:
            self._host.database.write(
                lambda session: predictions.beat(
                    session, claimed.prediction_id, claimed.fence, LEASE_S
                )
            )
        except DatabaseAway:
            logger.warning("prediction %d: no heartbeat", claimed.prediction_id)

    def _must_stop(self) -> bool:
        return self._stopping()

    def _must_give_up(self) -> bool:
        return self._stopping() or self._clock() >= self._end_s


def _shut_down() -> NoAnswer:
    return NoAnswer("shutdown", "Its worker was shut down.", again=True)


def _references(
    claimed: ClaimedPrediction, catalog: Catalog
) -> tuple[CodeReference, CodeReference | None]:
    code = reference(catalog.models.get(claimed.code_name), claimed.code_digest)
    if claimed.data_name is None:
        return code, None
    return code, reference(catalog.datasets.get(claimed.data_name), claimed.data_digest)
