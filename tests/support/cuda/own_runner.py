"""A real runner whose users' kernels run on a fake GPU; a slot starts it as a file."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
os.environ["LABPOOL_RUNNER_LAZY"] = "1"

from tests.support.cuda.fake_device import host_compiler
from tests.support.cuda.own_fake import MAKE
from worker.runner import own_benchmark
from worker.runner.__main__ import main

if __name__ == "__main__":
    ours = own_benchmark.Means(MAKE, host_compiler)
    own_benchmark.Means = lambda: ours  # type: ignore[assignment, misc]
    main()
