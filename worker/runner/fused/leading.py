"""Members of a group led through their epochs in step; each ends on its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker import protocol
from worker.protocol import TrialToRun
from worker.runner import data
from worker.runner.answers import attempt
from worker.runner.connection import Connection
from worker.runner.fused.member import Member, MemberLoop, measured_together
from worker.runner.fused.network import FusedNetwork
from worker.runner.layers import Beginning
from worker.runner.loop import CHUNK_S, Plan
from worker.runner.onlooker import Onlooker
from worker.runner.report import Report
from worker.runner.resident import ResidentSplits


@dataclass
class Run:
    """One trial of the group, with all that is its own."""

    trial: TrialToRun
    plan: Plan
    report: Report
    member: Member
    loop: MemberLoop
    onlooker: Onlooker


class Leader:
    """Trains a group to its end; answers for each member when it ends."""

    def __init__(
        self, connection: Connection, group: FusedNetwork, splits: ResidentSplits, runs: list[Run]
    ) -> None:
        """`runs` are the group's members in their order, at the same epoch, put already."""
        self._connection, self._group, self._splits = connection, group, splits
        self._active, self._running = runs, len(runs)
        self._steps = -(-splits.training.count // runs[0].plan.batch_size)
        self._chunk = 1

    def lead(self) -> None:
        """Until nobody is left. Raises what TensorFlow raises: then nobody left can go on here."""
        self._heed_cancels()
        self._each(self._active, lambda run: run.loop.begin())
        self._finish_done()
        while self._active:
            self._epoch()
            self._finish_done()
            self._make_smaller()

    @property
    def left(self) -> list[TrialToRun]:
        """Trials that have not been answered."""
        return [run.trial for run in self._active]

    def _epoch(self) -> None:
        epoch = self._active[0].loop.epoch
        began = time.monotonic()
        losses, sums = self._train(epoch)
        if not self._active:
            return
        share_s = (time.monotonic() - began) / len(self._active)
        for run in self._active:
            run.loop.share_s = share_s
            run.member.trained(losses[:, run.member.place], sums[:, run.member.place])
        measured_together([run.member for run in self._active], self._splits.validation)
        self._each(self._active, lambda run: run.loop.one_epoch())

    def _train(self, epoch: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """An epoch of all, in chunks that leave room for cancels."""
        rates = np.zeros(self._group.members)
        orders: Any = np.tile(np.arange(self._splits.training.count), (self._group.members, 1))
        for run in self._active:
            rates[run.member.place] = run.plan.rate(epoch)
            orders[run.member.place] = data.permutation(
                self._splits.training.count, run.plan.seed, epoch
            )
        self._group.set_learning_rates(rates)
        losses, sums = [], []
        done = 0
        while done < self._steps and self._active:
            began = time.monotonic()
            count = min(self._chunk, self._steps - done)
            more, values = self._group.train_steps(self._splits.training, orders, done, count)
            losses.append(more)
            sums.append(values)
            done += count
            self._heed_cancels()
            for run in self._active:
                run.report.progress(epoch + min(done / self._steps, 1 - 1 / self._steps))
            seconds = max(time.monotonic() - began, 1e-6)
            self._chunk = max(1, min(4 * self._chunk, int(CHUNK_S * count / seconds)))
        self._chunk = max(self._chunk, 1)
        return np.concatenate(losses), np.concatenate(sums)

    def _finish_done(self) -> None:
        """Test those whose last epoch is over, together, and answer for them."""
        over = [run for run in self._active if run.loop.is_done()]
        tested = [run for run in over if run.loop.best]
        if tested:
            for run in tested:
                run.member.held = run.loop.best
            measured_together([run.member for run in tested], self._splits.test)
            for run in tested:
                run.loop.tested = run.member.found_on(self._splits.test)
                run.loop.place = run.member.place
                run.member.held = None
        self._each(over, lambda run: self._answer(run, self._result(run)))

    def _result(self, run: Run) -> protocol.Result:
        run.loop.finish()
        metrics = run.loop.results()
        seen = run.onlooker.tell(int(metrics["best_epoch"]))
        beginning = Beginning.of(self._group.model, run.trial.spec, None)
        return protocol.Result(
            trial=run.trial.trial,
            fence=run.trial.fence,
            metrics=metrics,
            summary={
                **run.loop.summary(),
                **beginning.summary(self._group.model),
                **seen,
            },
            ended_early=run.loop.epoch < run.plan.epochs,
        )

    def _make_smaller(self) -> None:
        """Half have gone: the others go on in a smaller program. Else let those who went be 0."""
        places = [run.member.place for run in self._active]
        if not places or len(places) == self._running:
            return
        self._running = len(places)
        if 2 * len(places) > self._group.members:
            self._group.clear([place in places for place in range(self._group.members)])
            return
        self._group = self._group.only(places)
        for place, run in enumerate(self._active):
            run.member.moved(self._group, place)

    def _heed_cancels(self) -> None:
        def asked(run: Run) -> bool:
            return self._connection.is_cancelled((run.trial.trial, run.trial.fence))

        wanted = [run for run in self._active if asked(run)]
        self._each(wanted, lambda run: run.report.stop_if_cancelled())

    def _each(self, runs: Sequence[Run], do: Callable[[Run], Any]) -> None:
        """Do it for each; whoever it ends is answered, and the others go on."""
        for run in list(runs):
            ended = attempt(run.trial, partial(do, run))
            if isinstance(ended, protocol.Cancelled | protocol.Paused | protocol.Failed):
                self._answer(run, ended)

    def _answer(self, run: Run, answer: Any) -> None:
        self._connection.send(answer)
        self._connection.forget((run.trial.trial, run.trial.fence))
        self._active = [one for one in self._active if one is not run]
