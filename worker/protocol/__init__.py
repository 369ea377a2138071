"""What a slot and its runner say to each other, version 2.

They talk over a socket pair in newline-delimited JSON. A slot treats its runner as hostile: every
line is bounded, every field typed strictly, unknown keys are refused, names follow patterns, and
text that a database could not hold (NUL, lone surrogates) or numbers that JSON could not (NaN,
infinity) never pass. Tensors and files do not travel here: a message names a file in the scratch
folder that the slot gave the runner.

A run message holds trials that are run one after another, or together; each is answered by
`started`, any number of `points`, `progress`, `checkpoint` and `artifact`, then exactly one of
`result`, `failed`, `cancelled` or `paused`. Messages of trials that run together come mixed, and
each is answered when it ends. Where they cannot run together, `apart` names the one that runs; the
others are not answered any more. `idle` closes the run.

A slot answers each `checkpoint` with `kept`. A runner ends no epoch after one before it has that
answer: so whatever dies, and whenever, no more is lost than what lies between two checkpoints.
"""

from __future__ import annotations

from worker.protocol.from_runner import (
    Apart,
    Artifact,
    Cancelled,
    Checkpoint,
    Failed,
    Hello,
    Idle,
    Paused,
    Points,
    Progress,
    Ready,
    Result,
    Started,
)
from worker.protocol.from_slot import (
    Bye,
    Cancel,
    CodeReference,
    GoOn,
    Kept,
    Origin,
    Pause,
    Resume,
    Run,
    Stop,
    TrialToRun,
)
from worker.protocol.lines import (
    FromRunner,
    FromSlot,
    LineBuffer,
    Message,
    ProtocolError,
    clean_text,
    encode,
    parse_from_runner,
    parse_from_slot,
)
from worker.protocol.predicting import (
    OUTPUT_LIMIT_BYTES,
    NamedArray,
    OfPrediction,
    Predict,
    Predicted,
    Unpredicted,
)

__all__ = [
    "OUTPUT_LIMIT_BYTES",
    "Apart",
    "Artifact",
    "Bye",
    "Cancel",
    "Cancelled",
    "Checkpoint",
    "CodeReference",
    "Failed",
    "FromRunner",
    "FromSlot",
    "GoOn",
    "Hello",
    "Idle",
    "Kept",
    "LineBuffer",
    "Message",
    "NamedArray",
    "OfPrediction",
    "Origin",
    "Pause",
    "Paused",
    "Points",
    "Predict",
    "Predicted",
    "Progress",
    "ProtocolError",
    "Ready",
    "Result",
    "Resume",
    "Run",
    "Started",
    "Stop",
    "TrialToRun",
    "Unpredicted",
    "clean_text",
    "encode",
    "parse_from_runner",
    "parse_from_slot",
]
