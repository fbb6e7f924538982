"""The closed eigen-decompositions and the knee's divided differences, against slow twins with fifty digits."""

from __future__ import annotations

from decimal import Decimal, localcontext
from itertools import permutations

import pytest
import torch
from torch import Tensor

from steadfit.core import eigen
from steadfit.core.knee import Knee

pytestmark = pytest.mark.usefixtures("float64")

EPS = torch.finfo(torch.float64).eps


def cases(dim: int) -> dict[str, Tensor]:
    """Vectors of matrices in which closed forms are known to fail."""
    size = dim * (dim + 1) // 2
    identity = eigen.vector_of(torch.eye(dim))
    spike = torch.randn(500, dim)
    rank_one = eigen.vector_of(spike.unsqueeze(-1) * spike.unsqueeze(-2))
    frames = torch.linalg.qr(torch.randn(500, dim, dim)).Q
    pair = torch.tensor([1.0, 1.0, 3.0, -2.0, 0.5])[:dim]
    diagonals = [torch.diag(torch.tensor(row)) for row in permutations([1e6, -20.0, 3.0, 1e-9, 0.0][:dim])]
    found = {
        "random": torch.randn(2000, size),
        "zero": torch.zeros(1, size),
        "identity": identity.unsqueeze(0),
        "rank one": rank_one,
        "identity and rank one": identity + 1e-9 * rank_one,
        "graded": 10 ** (12 * torch.rand(500, size) - 6),
        "diagonal": eigen.vector_of(torch.stack(diagonals)),
        "signs": torch.randint(-1, 2, (2000, size)).double(),
        "tiny": 1e-300 * torch.randn(500, size),
        "huge": 1e150 * torch.randn(500, size),
    }
    for gap in (1e-15, 1e-12, 1e-8, 1e-4):
        found[f"nearly equal, {gap}"] = identity + gap * torch.randn(500, size)
        values = pair + gap * torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0])[:dim]
        found[f"a pair, {gap}"] = eigen.vector_of((frames * values) @ frames.mT)
    return found


@pytest.mark.parametrize("dim", [1, 2, 3, 5])
def test_decompositions_are_backward_stable(dim: int) -> None:
    bound = 24 if dim <= 3 else 80  # three times the roundings seen; the eigen-solver is allowed more
    for name, v in cases(dim).items():
        scale = v.abs().amax(dim=-1, keepdim=True).clamp(min=1e-300)
        values, frame = eigen.decompose(v, dim)
        error = (eigen.compose(values / scale, frame) - eigen.matrix_of(v / scale, dim)).flatten(-2).norm(dim=-1)
        assert float((error / (v / scale).norm(dim=-1).clamp(min=1)).max()) < bound * EPS, name
        identity = torch.eye(dim)
        torch.testing.assert_close(frame @ frame.mT, identity.expand_as(frame), rtol=0, atol=bound * EPS, msg=name)


@pytest.mark.parametrize("dim", [2, 3])
def test_eigenvalues_equal_the_solvers(dim: int) -> None:
    for name, v in cases(dim).items():
        values, _ = eigen.decompose(v, dim)
        expected = torch.linalg.eigvalsh(eigen.matrix_of(v, dim))
        error = (values.sort(dim=-1).values - expected).abs().amax(dim=-1)
        assert bool((error <= 72 * EPS * v.abs().amax(dim=-1)).all()), name


def test_a_small_eigenvalue_keeps_its_digits() -> None:
    """[[1e6, 1e-3], [1e-3, 1e-8]]: the small one is 1e-8 - 1e-6/1e6 to first order; a difference would lose it."""
    a, b, c = (torch.tensor(x) for x in (1e6, 1e-3, 1e-8))
    low = eigen.plane(a, b, c)[1]
    with localcontext() as context:
        context.prec = 50
        p, q, r = (Decimal(x.item()) for x in (a, b, c))
        exact = (p * r - q * q) / ((p + r) / 2 + (((p - r) / 2) ** 2 + q * q).sqrt())
    assert float(low) == pytest.approx(float(exact), rel=1e-14)


def decimal_knee(x: Decimal, floor: Decimal) -> Decimal:
    return x if x >= floor else floor * (x / floor - 1).exp()


def decimal_divided(nodes: list[Decimal], floor: Decimal) -> Decimal:
    """Newton's recursion, with 400 digits in place of a careful formula."""
    if len(nodes) == 1:
        return decimal_knee(nodes[0], floor)
    return (decimal_divided(nodes[:-1], floor) - decimal_divided(nodes[1:], floor)) / (nodes[0] - nodes[-1])


NODES = [
    (2.5, 2.0, 1.5),
    (1.5, 1.0, 0.5),
    (1.5, 0.9, 0.2),
    (0.5, 0.2, -3.0),
    (0.5, -40.0, -600.0),
    (900.0, 3.0, -50.0),
    (1 + 1e-9, 1.0, 1 - 1e-9),
    (1 + 1e-12, 1 - 1e-12, 1 - 3e-12),
    (1 + 1e-9, 1 - 1e-12, -5.0),
    (0.5, 0.5 - 1e-10, 0.5 - 3e-10),
    (3.0, 0.5, 0.5 - 1e-13),
    (-7.0, -7 - 1e-7, -8.0),
    (1e5, 0.999999, 0.3),
]


@pytest.mark.parametrize("nodes", NODES)
@pytest.mark.parametrize("floor", [1.0, 0.25, 4.0])
def test_divided_differences(nodes: tuple[float, float, float], floor: float) -> None:
    """To a few roundings of each eigenvalue over theta: that much its exponential is off, whatever the formula."""
    x, y, z = torch.tensor(nodes).unbind()
    knee, depth = Knee(floor), 1 + max(map(abs, nodes)) / floor
    with localcontext() as context:
        context.prec = 400
        exact = [Decimal(node) for node in nodes]
        first = decimal_divided(exact[:2], Decimal(floor))
        second = decimal_divided(exact, Decimal(floor))
        inverse = -first / decimal_knee(exact[0], Decimal(floor)) / decimal_knee(exact[1], Decimal(floor))
    slope = float(knee(x).slope)
    below = 24 * EPS * (1 + max(0.0, -min(nodes)) / floor)
    for a, b in ((x, y), (y, x)):
        assert float(knee.divided(knee(a), knee(b))) == pytest.approx(float(first), rel=below)
        found = Knee(floor, inverse=True)
        assert float(found.divided(found(a), found(b))) == pytest.approx(float(inverse), rel=below)
    for triple in permutations((x, y, z)):
        assert float(knee.twice_divided(*triple)) == pytest.approx(
            float(second), rel=1e-9, abs=24 * EPS * slope * depth / floor
        )


def test_divided_differences_of_equal_numbers() -> None:
    for floor in (0.5, 1.0, 4.0):
        knee, inverse = Knee(floor), Knee(floor, inverse=True)
        x = torch.tensor([-9.0, 0.1, 0.499, 0.5, 1.0, 3.0, 4.0, 5.0])
        torch.testing.assert_close(knee.divided(knee(x), knee(x)), knee(x).slope, rtol=1e-14, atol=0)
        torch.testing.assert_close(inverse.divided(inverse(x), inverse(x)), inverse(x).slope, rtol=1e-14, atol=0)
        expected = torch.where(x < floor, (x / floor - 1).exp() / (2 * floor), 0.0)
        torch.testing.assert_close(knee.twice_divided(x, x, x), expected, rtol=1e-14, atol=0)
        expected = torch.where(x < floor, 0.0, -1 / x**2)
        torch.testing.assert_close(knee.log_slope_divided(x, x), expected, rtol=1e-14, atol=0)
