"""Ten lines of NumPy learn exclusive or."""

from __future__ import annotations

from tests.lab.course import Course, Shown

TITLE = "Neural Network in 10 Lines of Python"
FLOORS = {"ten_lines_worst_output": "<= 0.05"}


def show(course: Course, shown: Shown) -> None:
    """60,000 steps on the slide's table; how far the worst of its four answers is off."""
    [trial] = course.run({"kind": "train", "model": "ten_lines", "dataset": "xor"})
    summary = trial["summary"]
    outputs = [row[0] for row in summary["test_outputs"]]
    off = [abs(out - want) for out, want in zip(outputs, summary["test_targets"], strict=True)]
    shown.figures["ten_lines_worst_output"] = round(max(off), 4)
    shown.notes.append(f"Outputs: {', '.join(f'{out:.4f}' for out in outputs)}")
    shown.curves("Loss", {"ten_lines": course.curves(trial)}, "loss")
