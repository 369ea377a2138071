"""The client: everything a script or a notebook does with a labpool service."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from labpool.client.address import find_address
from labpool.client.comparing import Comparing
from labpool.client.curves import Curves
from labpool.client.downloads import Downloads
from labpool.client.errors import ClientError, WaitTimeout, is_away
from labpool.client.predicting import Predicting
from labpool.client.records import (
    Experiment,
    Snapshot,
    Submission,
    Trial,
    TrialDetail,
    TrialList,
)
from labpool.client.spec_files import Spec, spec_content
from labpool.client.transport import Transport
from labpool.client.uploads import Uploads

PAGE = 200
FIRST_POLL_S = 0.25
LONGEST_POLL_S = 2.0


class Client(Predicting, Downloads, Uploads, Comparing):
    """A labpool service.

    Without arguments: LABPOOL_URL and LABPOOL_TOKEN, else the service that `labpool up` runs on
    this machine. Raises NoService when there is none, WrongSettings when the environment cannot be
    read, ApiError when the service refuses, Unreachable when it does not answer.

        with Client() as client:
            submission = client.submit("sweep.yaml")
            client.wait(submission.id)
            print(client.board("digits"))
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        http: httpx.Client | None = None,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = find_address(url, token)
        self._transport = Transport(self.address, http=http, pause=pause)
        self._pause = pause
        self._clock = clock

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def page(self, page_url: str) -> str:
        """The whole address of a page that an answer names."""
        return self.address.url + page_url

    def submit(
        self, spec: Spec, idempotency_key: str | None = None, if_duplicate: str = "run"
    ) -> Submission:
        """Submit a spec: a dict, a path to a YAML or JSON file, or the text itself.

        With the same `idempotency_key` the same spec is stored once, however often it is sent; a
        key of its own is made when none is given, so that a broken connection is safely retried.
        With `if_duplicate="return"` nothing is stored when every trial has a result already; the
        submission is then `reused`, and its trials are those.
        """
        content, media_type = spec_content(spec)
        key = idempotency_key or str(uuid.uuid4())
        path = (
            "/experiments" if if_duplicate == "run" else f"/experiments?if_duplicate={if_duplicate}"
        )
        answer = self._transport.post(path, content=content, media_type=media_type, key=key)
        trial_ids = [trial["id"] for trial in answer["trials"]]
        return Submission(
            experiment=Experiment.model_validate(answer["experiment"]),
            trial_ids=trial_ids,
            duplicates=answer.get("duplicates", []),
            reused=answer.get("reused", False),
        )

    def experiment(self, experiment_id: int) -> Experiment:
        """One experiment with its trials counted by state."""
        return Experiment.model_validate(self._transport.get(f"/experiments/{experiment_id}"))

    def experiments(self, limit: int = 50, **filters: object) -> list[Experiment]:
        """The newest experiments; filters: owner, kind, state, model, dataset."""
        found = self._pages("/experiments", "experiments", limit, filters)
        return [Experiment.model_validate(item) for item in found]

    def trials(
        self, experiment_id: int | None = None, limit: int | None = None, **filters: object
    ) -> TrialList:
        """Trials of one experiment by number, or all newest first (then at most `limit`).

        Filters: owner, kind, state, model, dataset.
        """
        if limit is None and experiment_id is None:
            limit = 50
        filters = {"experiment": experiment_id, **filters}
        found = self._pages("/trials", "trials", limit, filters)
        return TrialList(Trial.model_validate(item) for item in found)

    def trial(self, trial_id: int) -> TrialDetail:
        """One trial with its spec, its attempts and why it waits."""
        return TrialDetail.model_validate(self._transport.get(f"/trials/{trial_id}"))

    def snapshot(self, experiment_id: int) -> Snapshot:
        """An experiment with its trials; of a large sweep only those that run."""
        experiment = self.experiment(experiment_id)
        if experiment.trial_count <= PAGE:
            trials = self.trials(experiment_id)
        else:
            trials = self.trials(experiment_id, limit=PAGE, state="running")
        return Snapshot(experiment=experiment, trials=trials)

    def wait(
        self,
        experiment_id: int,
        timeout_s: float | None = None,
        on_progress: Callable[[Snapshot], None] | None = None,
    ) -> Experiment:
        """Wait until every trial is in a final state; see `.succeeded` for whether all is well.

        `on_progress` is called after each look. Raises WaitTimeout; the trials then go on.
        """
        start = self._clock()
        pause_s = FIRST_POLL_S
        while True:
            if on_progress is None:
                experiment = self.experiment(experiment_id)
            else:
                snapshot = self.snapshot(experiment_id)
                experiment = snapshot.experiment
                on_progress(snapshot)
            if experiment.finished:
                return experiment
            if timeout_s is not None and self._clock() - start + pause_s > timeout_s:
                raise WaitTimeout(
                    f"After {timeout_s:g} s {experiment.finished_count} of "
                    f"{experiment.trial_count} trials of experiment {experiment_id} are finished."
                )
            self._pause(pause_s)
            pause_s = min(pause_s * 1.5, LONGEST_POLL_S)

    def curves(self, trial_id: int, into: Curves | None = None) -> Curves:
        """All that a trial measured so far; `into` an earlier answer, only what came since."""
        curves = into if into is not None else Curves(trial_id)
        more = True
        while more:
            answer = self._transport.get(f"/trials/{trial_id}/metrics", since=curves.cursor)
            curves.add(answer)
            more = answer["more"]
        return curves

    def log(self, trial_id: int) -> str:
        """A trial's log so far."""
        return "".join(self.log_parts(trial_id))

    def log_parts(
        self,
        trial_id: int,
        follow: bool = False,
        on_away: Callable[[], None] | None = None,
        fence: int | None = None,
    ) -> Iterator[str]:
        """The log piece by piece; with `follow` until the attempt has ended.

        `fence` is that of an earlier attempt; without it, it is the newest one's.

        With `follow` a service that goes away meanwhile is waited for; `on_away` is called then.
        """
        offset = 0
        reached = False
        while True:
            try:
                part = self._transport.get(f"/trials/{trial_id}/log", offset=offset, fence=fence)
            except ClientError as error:
                if not (follow and reached and is_away(error)):
                    raise
                if on_away is not None:
                    on_away()
                self._pause(LONGEST_POLL_S)
                continue
            reached = True
            moved = part["next_offset"] > offset
            offset = part["next_offset"]
            if part["text"]:
                yield part["text"]
            if moved and offset < part["total_bytes"]:
                continue
            if part["complete"] or not follow:
                return
            self._pause(LONGEST_POLL_S / 2)

    def cancel(self, experiment_id: int) -> Experiment:
        """Cancel every trial of an experiment that has not ended."""
        return self._ask_experiment(experiment_id, "cancel")

    def sweep(self, experiment_id: int) -> dict[str, Any]:
        """A sweep at a glance: rungs, best so far, importance, cost, every trial's value."""
        found: dict[str, Any] = self._transport.get(f"/experiments/{experiment_id}/sweep")
        return found

    def add_trials(
        self, experiment_id: int, trials: int, idempotency_key: str | None = None
    ) -> Experiment:
        """Let a sweep's search make so many trials more, also after its end; once a key."""
        path = f"/experiments/{experiment_id}/trials"
        content = json.dumps({"trials": trials}).encode()
        key = idempotency_key or str(uuid.uuid4())
        answer = self._transport.post(path, content=content, key=key)
        return Experiment.model_validate(answer)

    def cancel_trial(self, trial_id: int) -> TrialDetail:
        """Cancel one trial: a waiting one never runs, a running one is told to stop."""
        return self._ask_trial(trial_id, "cancel")

    def pause(self, experiment_id: int) -> Experiment:
        """Pause every trial of an experiment that has not ended."""
        return self._ask_experiment(experiment_id, "pause")

    def resume(self, experiment_id: int) -> Experiment:
        """Let every paused or held trial of an experiment go on."""
        return self._ask_experiment(experiment_id, "resume")

    def stop(self, experiment_id: int) -> Experiment:
        """Stop what has begun, with its results so far, and cancel what never ran."""
        return self._ask_experiment(experiment_id, "stop")

    def pause_trial(self, trial_id: int) -> TrialDetail:
        """Hold a waiting trial back; a running one saves at the end of its epoch and waits."""
        return self._ask_trial(trial_id, "pause")

    def resume_trial(self, trial_id: int) -> TrialDetail:
        """Let a paused or held trial go on, from its newest checkpoint."""
        return self._ask_trial(trial_id, "resume")

    def stop_trial(self, trial_id: int) -> TrialDetail:
        """End a trial with its epoch and keep what there is as its result."""
        return self._ask_trial(trial_id, "stop")

    def _ask_experiment(self, experiment_id: int, verb: str) -> Experiment:
        answer = self._transport.post(f"/experiments/{experiment_id}/{verb}", repeat=True)
        return Experiment.model_validate(answer)

    def _ask_trial(self, trial_id: int, verb: str) -> TrialDetail:
        answer = self._transport.post(f"/trials/{trial_id}/{verb}", repeat=True)
        return TrialDetail.model_validate(answer)

    def why(self, trial_id: int) -> dict[str, Any]:
        """Why a trial waits: who is ahead, whose turn it is, and a guess of when."""
        return dict(self._transport.get(f"/trials/{trial_id}/why"))

    def prioritise(self, trial_id: int, priority: str) -> dict[str, Any]:
        """Make a waiting trial low, normal or (for admins) high; then why it waits."""
        body = json.dumps({"priority": priority}).encode()
        return dict(self._transport.patch(f"/trials/{trial_id}", body))

    def pool(self) -> dict[str, Any]:
        """Workers, slots, who holds what, and the queue."""
        return dict(self._transport.get("/pool"))

    def clear_quarantine(self, device: str) -> dict[str, Any]:
        """Put a GPU back into service, named by its id or its slot's number; for admins."""
        path = f"/pool/quarantines/{quote(device, safe='')}/clear"
        return dict(self._transport.post(path))

    def drain_worker(self, worker: str, undo: bool = False) -> dict[str, Any]:
        """Have a worker, named by its id or host, finish and take nothing more; for admins."""
        path = f"/pool/workers/{quote(worker, safe='')}/{'undrain' if undo else 'drain'}"
        return dict(self._transport.post(path, repeat=True))

    def queue(self, limit: int = 50) -> list[dict[str, Any]]:
        """The first waiting trials, each as {"trial", "waiting": why}."""
        return self._pages("/pool/queue", "queue", limit, {})

    def catalog(self) -> dict[str, Any]:
        """The models, data sets, kernels and boards there are."""
        return dict(self._transport.get("/catalog"))

    def _pages(
        self, path: str, name: str, limit: int | None, filters: Mapping[str, object]
    ) -> list[dict[str, Any]]:
        size = PAGE if limit is None else min(limit, PAGE)
        answer = self._transport.get(path, limit=size, **filters)
        found = list(answer[name])
        while answer["next"] and (limit is None or len(found) < limit):
            answer = self._transport.get(answer["next"])
            found += answer[name]
        return found if limit is None else found[:limit]
