"""A runner that answers questions as their input says: well, badly or not at all. No TensorFlow."""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any

from worker import protocol
from worker.protocol import Predict
from worker.runner import lifeline


def answer(question: Predict, **changes: Any) -> protocol.Predicted:
    """Two classes, a half each."""
    content = struct.pack("<2f", 0.5, 0.5)
    name = f"answer-{question.prediction}-{question.fence}.f32"
    (Path(question.folder) / name).write_bytes(content)
    fields: dict[str, Any] = {
        "prediction": question.prediction,
        "fence": question.fence,
        "arrays": (protocol.NamedArray(name="probabilities", shape=(1, 2)),),
        "file": name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "about": {"pid": os.getpid()},
    }
    return protocol.Predicted(**{**fields, **changes})


def behave(question: Predict, talk: socket.socket) -> None:
    """Do what the input says."""
    word = (Path(question.folder) / question.input).read_bytes().decode()
    match word:
        case "exit":
            os._exit(3)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(3600)
        case "exit once" if question.fence == 1:
            os._exit(3)
        case "babble":
            talk.sendall(b"no protocol\n")
            time.sleep(3600)
        case "lie about the digest":
            talk.sendall(protocol.encode(answer(question, sha256="0" * 64)))
        case "lie about the size":
            arrays = (protocol.NamedArray(name="probabilities", shape=(1000, 1000)),)
            talk.sendall(protocol.encode(answer(question, arrays=arrays)))
        case "announce a link":
            found = answer(question)
            path = Path(question.folder) / found.file
            path.unlink()
            path.symlink_to("/etc/hostname")
            talk.sendall(protocol.encode(found))
        case "speak of another":
            talk.sendall(protocol.encode(answer(question, prediction=question.prediction + 1000)))
            talk.sendall(protocol.encode(answer(question)))
        case "refuse":
            refusal = protocol.Unpredicted(
                prediction=question.prediction,
                fence=question.fence,
                reason_kind="user_error",
                reason="It does not fit.",
            )
            talk.sendall(protocol.encode(refusal))
        case "slow":
            time.sleep(3)
            talk.sendall(protocol.encode(answer(question)))
        case _:
            talk.sendall(protocol.encode(answer(question)))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int)
    parser.add_argument("--parent-pid", type=int)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    lifeline.hold_to(arguments.parent_pid)
    talk = socket.socket(fileno=arguments.fd)
    talk.sendall(protocol.encode(protocol.Hello(pid=os.getpid(), versions={})))
    talk.sendall(protocol.encode(protocol.Ready()))
    lines = protocol.LineBuffer()
    while data := talk.recv(65536):
        for line in lines.feed(data):
            message = protocol.parse_from_slot(line)
            if isinstance(message, protocol.Bye):
                sys.exit(0)
            if isinstance(message, Predict):
                behave(message, talk)


if __name__ == "__main__":
    main()
