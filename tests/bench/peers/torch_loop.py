"""One thread's epochs by a plain loop in PyTorch: a process of `tests.bench.loops`.

``torch_loop.py lenet|mlp deterministic|free IMAGES``, run by the peers' interpreter.

The data is one tensor, batches are picked by a permutation, nothing is logged: what PyTorch's
users would write when they care for speed. `torch.compile` needs a C++ compiler at run time and is
slower here for the first minute; it is left out.
"""

import sys
import time

import torch
from torch import nn

BATCH, RATE, CLASSES, WARM_UP = 128, 1e-3, 10, 2


def main() -> None:
    network, mode, images = sys.argv[1:]
    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(mode == "deterministic")
    count = int(images)
    x, y = torch.rand(count, 1, 28, 28), torch.randint(0, CLASSES, (count,))
    model = lenet() if network == "lenet" else mlp()
    optimizer = torch.optim.Adam(model.parameters(), RATE, fused=True)
    loss_of = nn.CrossEntropyLoss()

    def epoch() -> float:
        total = torch.zeros(())
        order = torch.randperm(count)
        for start in range(0, count, BATCH):
            chosen = order[start : start + BATCH]
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(model(x[chosen]), y[chosen])
            loss.backward()
            optimizer.step()
            total += loss.detach()
        return float(total)

    for _ in range(WARM_UP):
        epoch()
    print("ready", flush=True)
    for _ in sys.stdin:
        began_s = time.perf_counter()
        epoch()
        print(time.perf_counter() - began_s, flush=True)


def lenet() -> nn.Module:
    """As `catalog/models/lenet5` with its defaults."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, CLASSES),
    )


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, CLASSES))


if __name__ == "__main__":
    main()
