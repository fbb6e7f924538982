"""torch.func on densities, matrices, penalties and losses: grad, vmap, jacrev and gradients by sample."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.func import grad, hessian, jacrev, vmap

import steadfit
from steadfit.core import elliptical
from steadfit.core.penalties import Barron
from steadfit.core.spd import inverse_from_vector, spd_from_vector
from steadfit.distributions import Elliptical, MultivariateHuber
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
from steadfit.penalties import (
    Absolute,
    Cauchy,
    Charbonnier,
    GemanMcClure,
    Huber,
    Squared,
    StudentT,
    Tukey,
    Welsch,
)

pytestmark = pytest.mark.usefixtures("float64")

ROWS = 5


def random(*shape: int) -> Tensor:
    """The cases are made before any fixture sets seed or dtype."""
    return torch.randn(shape, generator=GENERATOR, dtype=torch.float64)


GENERATOR = torch.Generator().manual_seed(0)


@dataclass(frozen=True)
class Case:
    """A number computed from one sample, and what ROWS samples are made of; the first is differentiated."""

    name: str
    function: Callable[..., Tensor]
    inputs: tuple[Tensor, ...]

    def __repr__(self) -> str:
        return self.name


def roots(dim: int) -> Tensor:
    half = random(ROWS, dim, dim)
    return half @ half.mT + torch.eye(dim, dtype=torch.float64)


def of_densities() -> list[Case]:
    found = [Case(f"norm-{dim}", lambda u: elliptical.norm(u).square(), (random(ROWS, dim),)) for dim in (1, 2, 5)]
    for dim in (1, 2, 3, 5):
        for kind in ("nu", "mu"):
            for known in (False, True):

                def density(y: Tensor, center: Tensor, root: Tensor, kind: str = kind, known: bool = known) -> Tensor:
                    log_det = root.diagonal().sum() if known else None
                    return elliptical.log_prob(y, center, root, log_det, Charbonnier(), kind)

                inputs = random(ROWS, dim), random(ROWS, dim), roots(dim)
                name = f"log-prob-{dim}-{kind}-{'known' if known else 'own'}"
                found.append(Case(name, density, inputs))
                found.append(Case(f"{name}-root", lambda a, y, m, f=density: f(y, m, a), (inputs[2], *inputs[:2])))
    return found


def of_distributions() -> list[Case]:
    def general(y: Tensor, nu: Tensor, root: Tensor) -> Tensor:
        return Elliptical(nu, root, Huber(1.0)).log_prob(y)

    def family(mean: Tensor, y: Tensor, root: Tensor) -> Tensor:
        return MultivariateHuber.from_mean(mean, root).log_prob(y) + MultivariateHuber.from_mean(mean, root).entropy()

    inputs = random(ROWS, 2), random(ROWS, 2), roots(2)
    return [Case("elliptical", general, inputs), Case("family", family, inputs)]


def of_matrices() -> list[Case]:
    def both(v: Tensor, dim: int) -> Tensor:
        matrix, log = spd_from_vector(v, dim)
        return (matrix * matrix).sum() + log

    cases = []
    for dim in (1, 2, 3, 4):
        v = (random(ROWS, dim * (dim + 1) // 2),)
        cases.append(Case(f"spd-{dim}", lambda v, dim=dim: both(v, dim), v))
        cases.append(Case(f"inverse-{dim}", lambda v, dim=dim: inverse_from_vector(v, dim).square().sum(), v))
    return cases


def of_penalties() -> list[Case]:
    penalties = [Squared(), Absolute(), Huber(), Tukey(), Charbonnier(), Cauchy(), Welsch(), GemanMcClure(), StudentT()]
    penalties += [Barron(a) for a in (-float("inf"), -2.0, 0.0, 0.5, 1.5, 2.0, 3.0)]
    r = (2 * random(ROWS, 4),)
    return [Case(repr(p), lambda r, p=p: (p.rho(r) + p.psi(r) * p.weight(r) * p.trust(r)).sum(), r) for p in penalties]


def of_losses() -> list[Case]:
    def lifted(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda *data: loss(*(part.unsqueeze(0) for part in data))

    logits, index, soft, one = random(ROWS, 4), torch.tensor([0, 1, -100, 3, 2]), random(ROWS, 4).sigmoid(), torch.rand
    weight = one(ROWS, dtype=torch.float64, generator=GENERATOR)
    holed = random(ROWS, 3)
    holed[0, 1] = torch.nan
    target = random(ROWS, 2, 3, 4).sigmoid()
    target[:, 0, 0, 0], target[:, 1, 2] = 1.0, 0.0
    joints = one(ROWS, 2, dtype=torch.float64, generator=GENERATOR)
    heat = random(ROWS, 2, 3, 4)
    cases = [
        Case("robust", lifted(RobustLoss(Tukey(), 0.7)), (random(ROWS, 3), holed, weight.unsqueeze(1))),
        Case("elliptical-loss", lifted(EllipticalLoss(Huber(1.0))), (random(ROWS, 5), holed[:, :2], weight)),
        Case("elliptical-loss-4", lifted(EllipticalLoss(Squared())), (random(ROWS, 14), random(ROWS, 4), weight)),
    ]
    for loss in (
        *(AnchorLoss(1.5, anchor=a, class_weight=torch.rand(4)) for a in ("background", "target", "both", 0.3)),
        FocalLoss(alpha=0.3),
        CrossEntropyLoss(),
        OHEMLoss(),
        WarmUpLoss(epochs=0),
    ):
        cases += [Case(f"{loss}-index", lifted(loss), (logits, index, weight))]
        cases += [Case(f"{loss}-soft", lifted(loss), (logits, soft, weight))]
    for loss in (HeatmapAnchorLoss(), HeatmapMSELoss(), FocalLoss(), OHKMLoss()):
        cases.append(Case(f"{loss}-heatmaps", lifted(loss), (heat, target, joints)))
    return cases


CASES = of_densities() + of_distributions() + of_matrices() + of_penalties() + of_losses()
EVERY = pytest.mark.parametrize("case", CASES, ids=repr)


def rows(case: Case) -> list[tuple[Tensor, ...]]:
    return list(zip(*case.inputs, strict=True))


def by_autograd(case: Case) -> Tensor:
    """The gradients of the samples, one after the other, without torch.func."""
    slopes = []
    for first, *rest in rows(case):
        leaf = first.clone().requires_grad_()
        slopes.append(torch.autograd.grad(case.function(leaf, *rest).sum(), leaf)[0])
    return torch.stack(slopes)


@EVERY
def test_values_by_sample(case: Case) -> None:
    wanted = torch.stack([case.function(*row) for row in rows(case)])
    torch.testing.assert_close(vmap(case.function)(*case.inputs), wanted)


@EVERY
def test_gradients_by_sample(case: Case) -> None:
    wanted = by_autograd(case)
    torch.testing.assert_close(torch.stack([grad(case.function)(*row) for row in rows(case)]), wanted)
    torch.testing.assert_close(vmap(grad(case.function))(*case.inputs), wanted)


@EVERY
def test_only_the_differentiated_argument_is_a_batch(case: Case) -> None:
    """Many predictions of one sample, as in a line search."""
    first, rest = case.inputs[0], [part[1] for part in case.inputs[1:]]
    found = vmap(grad(case.function), in_dims=(0, *[None] * len(rest)))(first, *rest)
    one = Case("", lambda x: case.function(x, *rest), (first,))
    torch.testing.assert_close(found, by_autograd(one))


@EVERY
def test_jacobians_by_backward_passes(case: Case) -> None:
    """jacrev vmaps the backward pass alone; the samples do not mix."""

    def together(first: Tensor) -> Tensor:
        return vmap(case.function)(first, *case.inputs[1:])

    jacobian = jacrev(together)(case.inputs[0])
    own = jacobian[torch.arange(ROWS), torch.arange(ROWS)]
    torch.testing.assert_close(own, by_autograd(case))
    own.zero_()
    jacobian[torch.arange(ROWS), torch.arange(ROWS)] = 0.0
    assert bool((jacobian == 0).all())


@pytest.mark.parametrize("case", [c for c in CASES if c.name.startswith(("log-prob", "spd"))], ids=repr)
def test_second_derivatives_where_there_are(case: Case) -> None:
    """jacrev of jacrev; hessian's forward mode has no rule here."""
    row = rows(case)[0]
    found = jacrev(jacrev(case.function))(*row)
    wanted = torch.autograd.functional.hessian(lambda x: case.function(x, *row[1:]), row[0])
    torch.testing.assert_close(found, wanted)


def test_a_missing_second_derivative_raises_under_transforms_too() -> None:
    case = next(c for c in CASES if c.name.startswith("AnchorLoss") and c.name.endswith("index"))
    with pytest.raises(RuntimeError, match="with_slope: expected one derivative, got a second"):
        jacrev(grad(case.function))(*rows(case)[0])
    with pytest.raises(RuntimeError):  # forward mode: torch says that there is no jvp
        hessian(case.function)(*rows(case)[0])


def every_function() -> list[type[torch.autograd.Function]]:
    found = []
    for room in ("core", "losses", "distributions", "noise"):
        package = importlib.import_module(f"steadfit.{room}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            members = vars(importlib.import_module(module.name)).values()
            found += [m for m in members if isinstance(m, type) and issubclass(m, torch.autograd.Function)]
    return [f for f in found if f.__module__.startswith(steadfit.__name__)]


def test_every_function_follows_the_template() -> None:
    """forward without a context, setup_context, and a rule for vmap: what torch.func asks for."""
    functions = every_function()
    assert len({f.__qualname__ for f in functions}) >= 7
    for function in functions:
        assert function.generate_vmap_rule, function
        assert "setup_context" in vars(function), function
