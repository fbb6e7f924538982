"""One rule for all losses: what is absent adds neither loss nor gradient, whatever is predicted or annotated there."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from steadfit.losses import (
    AnchorLoss,
    CrossEntropyLoss,
    EllipticalLoss,
    FocalLoss,
    HeatmapAnchorLoss,
    HeatmapMSELoss,
    OHEMLoss,
    OHKMLoss,
    RobustLoss,
    WarmUpLoss,
)
from steadfit.penalties import Absolute, Charbonnier, Huber, Penalty, Squared, Tukey, Welsch

pytestmark = pytest.mark.usefixtures("float64")

ROWS, ABSENT = 6, 2
GENERATOR = torch.Generator().manual_seed(3)
POISON = pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf, 1e300], ids=str)


@dataclass(frozen=True)
class Case:
    """A loss, a batch of six rows, and the marks by which a row is absent: weight 0 and those of its own."""

    name: str
    build: Callable[[str], nn.Module]
    prediction: Tensor
    target: Tensor
    marks: tuple[str, ...] = ("nan",)
    weight: tuple[int, ...] = (ROWS,)

    def __repr__(self) -> str:
        return self.name


def random(*shape: int) -> Tensor:
    """The cases are made before any fixture sets seed or dtype."""
    return torch.randn(shape, generator=GENERATOR, dtype=torch.float64)


def maps() -> tuple[Tensor, Tensor]:
    target = random(ROWS, 1, 3, 4).sigmoid().round(decimals=1)
    target[:, 0, 0, 0], target[:, 0, 2, 3] = 1.0, 0.0
    return random(ROWS, 1, 3, 4), target


def of_points() -> list[Case]:
    penalties: list[Penalty] = [Squared(), Absolute(), Huber(1.0), Tukey(), Welsch(), Charbonnier()]
    data = 2 * random(ROWS, 3), 2 * random(ROWS, 3)
    return [
        Case(f"robust-{type(p).__name__}", lambda r, p=p: RobustLoss(p, 0.7, r), *data, weight=(ROWS, 1))
        for p in penalties
    ]


def of_distributions() -> list[Case]:
    penalties: list[Penalty] = [Squared(), Absolute(), Huber(1.0), Charbonnier()]
    covariances = (("identity", 2, 2), ("diagonal", 2, 4), ("full", 3, 9), ("full", 4, 14))
    return [
        Case(
            f"elliptical-{type(penalty).__name__}-{covariance}-{dim}-{location}",
            lambda r, p=penalty, c=covariance, x=location: EllipticalLoss(p, c, x, reduction=r),
            random(ROWS, numbers),
            random(ROWS, dim),
            ("nan", "nan-coordinate", "invisible"),
        )
        for penalty in penalties
        for covariance, dim, numbers in covariances
        for location in ("nu", "mu")
    ]


def of_classes() -> list[Case]:
    losses: dict[str, Callable[[str], nn.Module]] = {
        "anchor-background": lambda r: AnchorLoss(1.5, anchor="background", reduction=r),
        "anchor-target": lambda r: AnchorLoss(0.5, anchor="target", reduction=r),
        "anchor-both": lambda r: AnchorLoss(2.0, anchor="both", reduction=r),
        "anchor-static": lambda r: AnchorLoss(2.0, anchor=0.3, reduction=r),
        "cross-entropy": CrossEntropyLoss,
        "focal": lambda r: FocalLoss(reduction=r),
        "ohem": lambda r: OHEMLoss(0.5, r),
        "warm-up": lambda r: WarmUpLoss(CrossEntropyLoss(r), AnchorLoss(reduction=r)),
    }
    logits, index, soft = random(ROWS, 4), torch.tensor([0, 3, 1, 2, 2, 0]), random(ROWS, 4).sigmoid().round(decimals=1)
    soft[:, 0], soft[:, 1] = 0.0, 0.9
    by_index = [Case(f"{name}-index", build, logits, index, ("ignored",)) for name, build in losses.items()]
    return by_index + [Case(f"{name}-soft", build, logits, soft) for name, build in losses.items()]


def of_heatmaps() -> list[Case]:
    losses: dict[str, Callable[[str], nn.Module]] = {
        "heatmap-anchor": lambda r: HeatmapAnchorLoss(reduction=r),
        "heatmap-mse": HeatmapMSELoss,
        "heatmap-focal": lambda r: FocalLoss(reduction=r),
        "ohkm": lambda r: OHKMLoss(0.5, r),
    }
    return [Case(name, build, *maps(), ("nan", "zero", "invisible"), (ROWS, 1)) for name, build in losses.items()]


CASES = of_points() + of_distributions() + of_classes() + of_heatmaps()
EVERY = pytest.mark.parametrize("case", CASES, ids=repr)


def marked(case: Case, mark: str, poison: float) -> tuple[Tensor, Tensor, Tensor | None, dict[str, Tensor]]:
    """Prediction, target, weight and masks with row ABSENT absent by the mark and poisoned."""
    prediction, target = case.prediction.clone(), case.target.clone()
    prediction[ABSENT] = poison
    weight, masks = None, {}
    if mark == "weight":
        weight = torch.ones(case.weight)
        weight[ABSENT] = 0.0
        if case.name.startswith(("robust", "elliptical")):
            target[ABSENT] = poison
        elif target.is_floating_point():
            target[ABSENT] = math.nan  # others are refused
    elif mark == "invisible":
        masks["visible"] = torch.arange(ROWS).ne(ABSENT).reshape(case.weight)
    elif mark == "nan-coordinate":
        target[ABSENT, -1] = math.nan
    else:
        target[ABSENT] = {"nan": math.nan, "ignored": -100, "zero": 0}[mark]
    return prediction, target, weight, masks


def gradient(loss: nn.Module, prediction: Tensor, *more: Tensor | None, **masks: Tensor) -> tuple[Tensor, Tensor]:
    leaf = prediction.clone().requires_grad_()
    value = loss(leaf, *more, **masks)
    (slope,) = torch.autograd.grad(value.sum(), leaf)
    return value.detach(), slope


@EVERY
@POISON
@pytest.mark.parametrize("reduction", ["sum", "mean", "none"])
def test_an_absent_row_is_no_row(case: Case, poison: float, reduction: str) -> None:
    rest = torch.arange(ROWS) != ABSENT
    loss = case.build(reduction)
    wanted, slope = gradient(loss, case.prediction[rest], case.target[rest])
    for mark in ("weight", *case.marks):
        prediction, target, weight, masks = marked(case, mark, poison)
        found, reached = gradient(loss, prediction, target, weight, **masks)
        if reduction == "none":
            assert bool((found[ABSENT] == 0).all()), mark
            found = found[rest]
        torch.testing.assert_close(found, wanted, msg=lambda text, mark=mark: f"{mark}: {text}")
        torch.testing.assert_close(reached[rest], slope, msg=lambda text, mark=mark: f"{mark}: {text}")
        assert bool((reached[ABSENT] == 0).all()), mark


@EVERY
def test_all_rows_absent_is_zero(case: Case) -> None:
    loss = case.build("mean")
    prediction = torch.full_like(case.prediction, math.nan)
    value, slope = gradient(loss, prediction, case.target, torch.zeros(case.weight))
    assert value == 0
    assert bool((slope == 0).all())


@EVERY
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_absent_rows_in_half_precision(case: Case, dtype: torch.dtype) -> None:
    """Predictions and weights of half precision; the loss is float32."""
    prediction, target, weight, _ = marked(case, "weight", math.inf)
    narrow = target.to(dtype) if target.is_floating_point() else target
    assert weight is not None
    found, slope = gradient(case.build("mean"), prediction.to(dtype), narrow, weight.to(dtype))
    wide = narrow.float() if narrow.is_floating_point() else narrow
    wanted, expected = gradient(case.build("mean"), prediction.to(dtype).float(), wide, weight.float())
    assert (found.dtype, slope.dtype) == (torch.float32, dtype)
    torch.testing.assert_close(found, wanted)
    assert torch.equal(slope, expected.to(dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_sums_over_many_elements_do_not_overflow(dtype: torch.dtype) -> None:
    """70,000 elements, or 200 with losses of 1,250: both above 65,504 in sum."""
    for count, size in ((70_000, 1.0), (200, 50.0)):
        prediction, target = torch.zeros(count, dtype=dtype), torch.full((count,), size, dtype=dtype)
        for weight in (None, torch.ones(count, dtype=dtype), torch.ones((), dtype=dtype)):
            value, slope = gradient(RobustLoss(Squared()), prediction, target, weight)
            assert float(value) == pytest.approx(size**2 / 2)
            torch.testing.assert_close(slope, torch.full_like(slope, -size / count))
            total = RobustLoss(Squared(), reduction="sum")(prediction, target, weight)
            assert float(total) == pytest.approx(count * size**2 / 2)
            assert value.dtype == total.dtype == torch.float32


@pytest.mark.parametrize("loss", [AnchorLoss(1.5, anchor=a) for a in ("background", "target", "both")], ids=repr)
@POISON
def test_a_missing_soft_label_hides_its_logit(loss: nn.Module, poison: float) -> None:
    z, p = torch.tensor([[1.0, poison, -0.5]]), torch.tensor([[1.0, math.nan, 0.0]])
    value, slope = gradient(loss, z, p)
    wanted, apart = gradient(loss, z[:, [0, 2]], p[:, [0, 2]])
    torch.testing.assert_close(value, wanted)
    torch.testing.assert_close(slope[:, [0, 2]], apart)
    assert slope[0, 1] == 0


@pytest.mark.parametrize("build", [AnchorLoss, FocalLoss], ids=lambda c: c.__name__)
@pytest.mark.parametrize("soft", [False, True])
@POISON
def test_a_class_of_weight_zero_adds_nothing(build: Callable[..., nn.Module], soft: bool, poison: float) -> None:
    z, index = torch.randn(5, 3), torch.tensor([0, 2, 0, 2, 2])
    z[:, 1] = poison
    target = torch.eye(3)[index] if soft else index
    value, slope = gradient(build(class_weight=torch.tensor([1.0, 0.0, 2.0])), z, target)
    assert value.isfinite()
    assert bool(slope.isfinite().all())
    assert bool((slope[:, 1] == 0).all())


@pytest.mark.parametrize("build", [HeatmapAnchorLoss, HeatmapMSELoss, FocalLoss], ids=lambda c: c.__name__)
@POISON
def test_a_pixel_of_weight_zero_adds_nothing(build: Callable[..., nn.Module], poison: float) -> None:
    z, p = maps()
    z[1, 0, 0, 0], z[3, 0, 1, 1] = poison, poison  # the joint itself, and a pixel beside it
    weight = torch.where(z == poison, 0.0, 1.0) if poison == poison else torch.where(z.isnan(), 0.0, 1.0)
    for reduction in ("mean", "none"):
        value, slope = gradient(build(reduction=reduction), z, p, weight)
        assert bool(value.isfinite().all())
        assert bool(slope.isfinite().all())
        assert bool((slope[weight == 0] == 0).all())


def test_compiled_code_follows_the_same_rule() -> None:
    by_name = {case.name: case for case in CASES}
    for name in ("robust-Squared", "anchor-both-index", "heatmap-anchor"):
        case = by_name[name]
        loss = case.build("mean")
        compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
        prediction, target, weight, _ = marked(case, "weight", math.nan)
        for one, other in zip(
            gradient(compiled, prediction, target, weight), gradient(loss, prediction, target, weight), strict=True
        ):
            torch.testing.assert_close(one, other)


def test_buffers_are_of_the_default_dtype() -> None:
    """Devices without float64 take them, whatever the user gave."""
    losses = [
        RobustLoss(Squared(), torch.tensor([0.5, 2.0], dtype=torch.float64)),
        RobustLoss(Squared(), 0.1),
        AnchorLoss(class_weight=torch.ones(3, dtype=torch.float64)),
        FocalLoss(class_weight=torch.ones(3, dtype=torch.float64)),
    ]
    assert all(b.dtype == torch.float64 for loss in losses for b in loss.buffers())  # this module's default
    torch.set_default_dtype(torch.float32)
    try:
        narrow = [RobustLoss(Squared(), torch.tensor([0.5], dtype=torch.float64)), RobustLoss(Squared(), 0.1)]
        narrow.append(AnchorLoss(class_weight=torch.ones(3, dtype=torch.float64)))
        assert all(b.dtype == torch.float32 for loss in narrow for b in loss.buffers())
        with pytest.raises(ValueError, match=r"RobustLoss: expected scale > 0 and finite, got inf\."):
            RobustLoss(Squared(), 1e39)
        with pytest.raises(ValueError, match=r"RobustLoss: expected scale > 0 and finite, got 0\.0\."):
            RobustLoss(Squared(), 1e-50)
    finally:
        torch.set_default_dtype(torch.float64)
