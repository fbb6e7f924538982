"""Anchor loss against torch's binary cross entropy: time and memory of value and gradient.

    python benchmarks/anchor.py           # everything: some minutes, most of them compiling
    python benchmarks/anchor.py --quick   # eager, one thread, five turns: does it run?

Logits (256, 1000) with class indices, and heatmaps (6, 16, 64, 64) with Gaussian targets (sigma 1 px, cut off at 3),
float32. One turn is value and gradient of the mean; ``binary_cross_entropy_with_logits`` gets the same targets, one-hot
for the classes. ``naive`` is the formula in torch's operations, differentiated by autograd. Both sides are run eagerly
or both by torch.compile, in one process, taking turns; the ratio of each turn is ours over theirs, and the median of
the ratios counts, since other work on the machine then slows both sides of a ratio.

Memory is the peak of what the allocator handed out during one turn, beyond the inputs, by torch's profiler.

Results go to benchmarks/results/anchor.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot
from torch.profiler import ProfilerActivity, profile

from steadfit import __version__
from steadfit.losses import AnchorLoss, HeatmapAnchorLoss

RESULTS = Path(__file__).parent / "results"
Loss = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Row:
    """Medians over the turns, in seconds; the ratio is to BCE's time of the same turn, the memory in units of z."""

    mode: str
    threads: int
    shape: str
    loss: str
    seconds: float
    ratio: float
    lowest: float
    highest: float
    memory: float


def classes(seed: int) -> tuple[Tensor, dict[str, Loss]]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(256, 1000, generator=generator) - 4
    target = torch.randint(0, 1000, (256,), generator=generator)
    labels = one_hot(target, 1000).to(logits.dtype)

    def naive(z: Tensor) -> Tensor:
        q = torch.sigmoid(z)
        anchor = (q * labels).sum(dim=1, keepdim=True).detach() - 0.05
        losses = labels * q.log() + (1 - labels) * (1 + q - anchor) ** 0.5 * (1 - q).log()
        return -losses.sum(dim=1).mean()

    losses = {"BCE": lambda z: binary_cross_entropy_with_logits(z, labels), "naive": naive}
    ours = {anchor: AnchorLoss(0.5, anchor=anchor) for anchor in ("background", "target", "both")}
    losses |= {f"AnchorLoss, {name}": lambda z, loss=loss: loss(z, target) for name, loss in ours.items()}
    return logits, losses


def heatmaps(seed: int) -> tuple[Tensor, dict[str, Loss]]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(6, 16, 64, 64, generator=generator) - 4
    center = 2 + 60 * torch.rand(6, 16, 2, generator=generator)
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    squared = (x - center[..., :1, None]) ** 2 + (y - center[..., 1:, None]) ** 2
    target = torch.where(squared <= 9, torch.exp(-squared / 2), 0.0)

    def naive(z: Tensor) -> Tensor:
        q = torch.sigmoid(z)
        anchor = torch.where(target > 0.5, q, 0.0).amax(dim=(2, 3), keepdim=True).detach()
        plain = -(target * q.log() + (1 - target) * (1 - q).log())
        return (torch.where(target == 0, (1 + q - anchor) ** 2, 1.0) * plain).mean()

    ours = HeatmapAnchorLoss()
    return logits, {
        "BCE": lambda z: binary_cross_entropy_with_logits(z, target),
        "naive": naive,
        "HeatmapAnchorLoss": lambda z: ours(z, target),
    }


CASES = {"(256, 1000)": classes, "(6, 16, 64, 64)": heatmaps}


def turn(loss: Loss, logits: Tensor) -> float:
    begin = time.perf_counter()
    loss(logits).backward()
    taken = time.perf_counter() - begin
    logits.grad = None
    return taken


def peak(loss: Loss, logits: Tensor) -> float:
    """The highest sum of allocations less releases in one turn, in multiples of the logits' size."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        turn(loss, logits)
    events = profiler.profiler.kineto_results.events()  # type: ignore[union-attr]
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    held = highest = 0
    for _, change in changes:
        held += change
        highest = max(highest, held)
    return highest / (logits.numel() * logits.element_size())


def compare(mode: str, threads: int, shape: str, turns: int, seed: int) -> list[Row]:
    values, losses = CASES[shape](seed)
    logits = values.requires_grad_()
    reference = losses["BCE"](logits).item()
    if mode == "compiled":
        losses = {name: torch.compile(loss) for name, loss in losses.items() if name != "naive"}
    for loss in losses.values():
        for _ in range(5):
            turn(loss, logits)  # warm-up, and compilation
    assert abs(losses["BCE"](logits).item() - reference) < 1e-5
    found: dict[str, list[float]] = {name: [] for name in losses}
    for count in range(turns):
        for name in list(losses)[:: -1 if count % 2 else 1]:
            found[name].append(turn(losses[name], logits))
    rows = []
    for name, times in found.items():
        ratios = sorted(a / b for a, b in zip(times, found["BCE"], strict=True))
        tenth = len(ratios) // 10
        middle = statistics.median(ratios)
        memory = peak(losses[name], logits) if mode == "eager" else float("nan")
        rows.append(
            Row(mode, threads, shape, name, statistics.median(times), middle, ratios[tenth], ratios[-1 - tenth], memory)
        )
    return rows


def own_process(mode: str, threads: int, shape: str, options: argparse.Namespace) -> list[Row]:
    """Each table in a process of its own: the allocator's habits depend on what ran before."""
    job = json.dumps([mode, threads, shape, options.turns, options.seed])
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, __file__, "--job", job], env=environment, check=True, capture_output=True, text=True
    )
    return [Row(**row) for row in json.loads(done.stdout.splitlines()[-1])]


def markdown(rows: list[Row], about: dict[str, str]) -> str:
    lines = ["# Anchor loss against binary cross entropy", "", *(f"- {k}: {v}" for k, v in about.items()), ""]
    for mode, threads in dict.fromkeys((row.mode, row.threads) for row in rows):
        lines += [f"## {mode.capitalize()}, {threads} thread{'s' if threads > 1 else ''}", ""]
        lines += ["| logits | loss | ms | times BCE | 10 to 90 % of turns | peak memory |", "|:--|:--|--:|--:|:--|--:|"]
        for row in rows:
            if (row.mode, row.threads) == (mode, threads):
                memory = f"{row.memory:.2f}" if row.memory == row.memory else ""
                lines.append(
                    f"| {row.shape} | {row.loss} | {1e3 * row.seconds:.2f} | {row.ratio:.2f} | "
                    f"{row.lowest:.2f} to {row.highest:.2f} | {memory} |"
                )
        lines.append("")
    lines.append("Peak memory in multiples of the logits' size, inputs not counted.")
    return "\n".join(lines) + "\n"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="eager, one thread, five turns")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of anchor.md")
    parser.add_argument("--note", default="", help="a remark for the results, such as what else the machine was doing")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.job:
        mode, threads, shape, turns, seed = json.loads(options.job)
        torch.set_num_threads(threads)
        print(json.dumps([asdict(row) for row in compare(mode, threads, shape, turns, seed)]))
        return
    begin = time.perf_counter()
    if options.quick:
        options.turns = 5
    load = f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores" if hasattr(os, "getloadavg") else "unknown"
    rows: list[Row] = []
    for mode in ("eager",) if options.quick else ("eager", "compiled"):
        for threads in (1,) if options.quick else (1, 2):
            for shape in CASES:
                rows += own_process(mode, threads, shape, options)
    about = {
        "command": f"`{shlex.join(['python', 'benchmarks/anchor.py', *sys.argv[1:]])}`",
        "seed": str(options.seed),
        "versions": f"steadfit {__version__}, torch {torch.__version__}, Python {platform.python_version()}",
        "load at the start": load,
        "duration": f"{(time.perf_counter() - begin) / 60:.1f} min",
        **({"note": options.note} if options.note else {}),
    }
    text = markdown(rows, about)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "anchor.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
