"""Conformal radii and temperatures from labels of which a share is wrong: which weights keep their promise?

    python benchmarks/conformal.py             # some minutes on one core
    python benchmarks/conformal.py --quick     # few repeats: does it run?

Calibration labels are drawn around predictions with A = I in two dimensions, a share of them wrong. From each set come
a radius for 90 % coverage and a temperature, once for every kind of weight. Reported are the means over the repeats of
the radius' coverage of *right* labels, computed from their distribution, and of the temperature.

Right labels are drawn from the predicted Huber distribution ("as predicted"); at twice its scale ("overconfident"); or
one in five at three times its scale ("hard images"). Wrong labels are uniform in a box 60 wide ("anywhere"), or in a
ring 8 to 16 from the prediction ("in a ring"), where some of the right labels are too.

Results go to benchmarks/results/conformal.md.
"""

from __future__ import annotations

import argparse
import math
import shlex
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from steadfit import GaussianUniform
from steadfit.errors import ConvergenceWarning
from steadfit.metrics import ConformalRadius, fit_temperature, right_labels
from steadfit.penalties import Huber

RESULTS = Path(__file__).parent / "results"
PENALTY, LEVEL, BOX = Huber(1.0), 0.9, 60.0
SCALES = {"as predicted": ((1.0, 1.0),), "overconfident": ((1.0, 2.0),), "hard images": ((0.8, 1.0), (0.2, 3.0))}
WEIGHTS = {
    "none": "1",
    "truth": "1 for right labels, 0 for wrong ones",
    "posterior": "the true posterior",
    "right_labels": "`right_labels`",
    "kept": "1 where that is above 1/2, 0 elsewhere",
    "gum": "`GaussianUniform` responsibilities",
    "gum 1.5": "the same, covariance inflated 1.5 times",
    "trust": "the Huber penalty's trust, min(1, 1/r)",
}


def direction(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    angle = 2 * math.pi * torch.rand(shape, generator=generator)
    return torch.stack([angle.cos(), angle.sin()], -1)


def right(kind: str, shape: tuple[int, int], generator: torch.Generator, quantile: Tensor) -> Tensor:
    """Draws, (N, R, 2). ``quantile`` is a table of the radius, as its exact inverse is slow for many draws."""
    u = torch.rand(shape, generator=generator)
    shares = torch.tensor([share for share, _ in SCALES[kind]])
    scales = torch.tensor([scale for _, scale in SCALES[kind]])
    which = torch.multinomial(shares, u.numel(), replacement=True, generator=generator).reshape(shape)
    size = quantile[(u * len(quantile)).long()] * scales[which]
    return size.unsqueeze(-1) * direction(shape, generator)


def wrong(kind: str, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    if kind == "anywhere":
        return BOX * (torch.rand(*shape, 2, generator=generator) - 0.5)
    return (8 + 8 * torch.rand(*shape, 1, generator=generator)) * direction(shape, generator)


def density(kind: str, radius: Tensor) -> Tensor:
    """Of right labels, in the plane."""
    terms = [
        share * torch.exp(-PENALTY.rho(radius / scale) - PENALTY.log_normalizer(2)) / scale**2
        for share, scale in SCALES[kind]
    ]
    return torch.stack(terms).sum(0)


def wrong_density(kind: str, y: Tensor) -> Tensor:
    radius = y.norm(dim=-1)
    if kind == "anywhere":
        return (y.abs() <= BOX / 2).all(-1) / BOX**2
    return ((radius >= 8) & (radius <= 16)) / (8 * 2 * math.pi * radius)


def covered(kind: str, radius: Tensor) -> Tensor:
    return torch.stack([share * PENALTY.mass(radius / scale, 2) for share, scale in SCALES[kind]]).sum(0)


def weights(y: Tensor, bad: Tensor, kind: str, where: str, share: float) -> dict[str, Tensor]:
    """Every kind of weight, (N, R): each of R repeats on its own."""
    radius = y.norm(dim=-1)
    good = (1 - share) * density(kind, radius)
    mixture = GaussianUniform(max_iter=300, tol=1e-6).fit(y)
    root = torch.eye(2).expand(len(y), 1, 2, 2)
    found = torch.cat(
        [right_labels(torch.zeros_like(one), root, one, PENALTY).probability for one in y.split(1, dim=1)], dim=1
    )
    return {
        "none": torch.ones_like(radius),
        "truth": (~bad).double(),
        "posterior": good / (good + share * wrong_density(where, y)),
        "right_labels": found,
        "kept": (found > 0.5).double(),
        "gum": mixture.responsibility,
        "gum 1.5": replace(mixture, covariance=1.5 * mixture.covariance).responsibility_of(y),
        "trust": PENALTY.trust(radius),
    }


def experiment(
    kind: str, where: str, share: float, labels: int, repeats: int, quantile: Tensor
) -> dict[str, list[float]]:
    """Weight to the mean coverage of right labels and the mean temperature."""
    generator = torch.Generator().manual_seed(0)
    shape = (labels, repeats)
    bad = torch.rand(shape, generator=generator) < share
    y = torch.where(bad.unsqueeze(-1), wrong(where, shape, generator), right(kind, shape, generator, quantile))
    root = torch.eye(2).expand(*shape, 2, 2)
    names = tuple(map(str, range(repeats)))
    result = {}
    for name, weight in weights(y, bad, kind, where, share).items():
        radius = ConformalRadius(names, y.norm(dim=-1), weight).radius(LEVEL)
        tau = fit_temperature(torch.zeros_like(y), root, y, PENALTY, weight=weight).point_tau
        result[name] = [float(covered(kind, radius).mean()), sum(tau) / repeats]
    return result


def report(rows: list[tuple[str, str, float, dict[str, list[float]]]], labels: int, repeats: int) -> str:
    def table(title: str, column: int, form: Callable[[float], str]) -> list[str]:
        head = f"| right labels | wrong labels | share | {' | '.join(WEIGHTS)} |"
        rule = "|:--|:--|--:|" + "--:|" * len(WEIGHTS)
        body = [
            f"| {kind} | {where} | {100 * share:.0f} % | {' | '.join(form(found[name][column]) for name in WEIGHTS)} |"
            for kind, where, share, found in rows
        ]
        return ["", f"## {title}", "", head, rule, *body]

    return "\n".join([
        "# Conformal radii and temperatures from partly wrong labels",
        "",
        f"`python {shlex.join(sys.argv)}`: {labels} calibration labels, means of {repeats} repeats; "
            f"their standard error is about {100 * math.sqrt(0.09 / labels / repeats):.1f} points of coverage.",
        "",
        *(f"- **{name}**: {text}" for name, text in WEIGHTS.items()),
        *table("Coverage of right labels by the region for 90 %", 0, lambda v: f"{100 * v:.1f} %"),
        *table("Temperature (1 is right as predicted, 2 where overconfident)", 1, lambda v: f"{v:.2f}"),
        "",
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few repeats, nothing written")
    options = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    warnings.simplefilter("ignore", ConvergenceWarning)
    labels, repeats = 500, 10 if options.quick else 200
    cells = 1 << 14
    quantile = PENALTY.radius((torch.arange(cells) + 0.5) / cells, 2)
    rows = []
    for kind in SCALES:
        for where, share in (
            ("none", 0.0),
            ("anywhere", 0.2),
            ("anywhere", 0.4),
            ("in a ring", 0.2),
            ("in a ring", 0.4),
        ):
            found = experiment(kind, "anywhere" if where == "none" else where, share, labels, repeats, quantile)
            rows.append((kind, where, share, found))
            print(
                kind, where, share, {name: [round(v, 3) for v in values] for name, values in found.items()}, flush=True
            )
    if not options.quick:
        (RESULTS / "conformal.md").write_text(report(rows, labels, repeats), encoding="utf-8")


if __name__ == "__main__":
    main()
