"""The pieces of elliptical densities: lengths, small matrices, the fused log-density, samples."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from steadfit.core import elliptical, sampling
from steadfit.core.penalties import Absolute, Charbonnier, Huber, Penalty, Squared

pytestmark = pytest.mark.usefixtures("float64")

PROPER = (Squared(), Absolute(), Huber(1.0), Charbonnier())
DIMS = (1, 2, 3, 5)


def roots(*batch: int, dim: int) -> Tensor:
    square = torch.randn(*batch, dim, dim)
    return square @ square.mT + 0.5 * torch.eye(dim)


@pytest.mark.parametrize("dim", DIMS)
def test_small_matrices_against_torch_linalg(dim: int) -> None:
    root, vector = roots(7, dim=dim), torch.randn(4, 7, dim)
    torch.testing.assert_close(elliptical.multiply(root, vector), torch.einsum("nij,mnj->mni", root, vector))
    torch.testing.assert_close(elliptical.log_determinant(root), torch.logdet(root), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(elliptical.inverse(root), torch.linalg.inv(root), rtol=1e-10, atol=1e-12)
    expected = torch.linalg.solve(root.expand(4, 7, dim, dim), vector.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(elliptical.solve(root, vector), expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(elliptical.solve(root, vector[0]), expected[0], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(elliptical.solve(root[0], vector[0]), torch.linalg.solve(root[0], vector[0].mT).mT)


@pytest.mark.parametrize("dim", DIMS)
def test_gradients_of_small_matrices_are_whole_matrices(dim: int) -> None:
    root = roots(3, dim=dim).requires_grad_()
    vector = torch.randn(2, 3, dim, requires_grad=True)
    (found,) = torch.autograd.grad(elliptical.log_determinant(root).sum(), root)
    torch.testing.assert_close(found, torch.linalg.inv(root.detach()).mT, rtol=1e-10, atol=1e-12)
    assert gradcheck(elliptical.solve, (root, vector))
    assert gradcheck(elliptical.inverse, (root,))
    assert gradcheck(elliptical.multiply, (root, vector))
    assert gradgradcheck(elliptical.log_determinant, (root,))


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_overflow_in_small_matrices(dim: int, dtype: torch.dtype) -> None:
    """Products of two entries, 1e60 and 1e-60, are outside float32; badly scaled axes are no harm to elimination."""
    scale = torch.tensor([1e30, 1e-30, 1.0][:dim], dtype=torch.float64)
    base = torch.full((dim, dim), 0.3) + 0.7 * torch.eye(dim)
    root = (base * scale.sqrt() * scale.sqrt().unsqueeze(1)).to(dtype)
    assert float(elliptical.log_determinant(root)) == pytest.approx(
        float(torch.logdet(base)) + math.log(scale.prod()), rel=1e-5, abs=1e-5
    )
    expected = torch.linalg.inv(base) / scale.sqrt() / scale.sqrt().unsqueeze(1)
    torch.testing.assert_close(elliptical.inverse(root).double(), expected, rtol=1e-5, atol=0)
    huge = torch.eye(dim, dtype=dtype) * 1e37
    assert float(elliptical.log_determinant(huge)) == pytest.approx(dim * math.log(1e37), rel=1e-6)


@pytest.mark.parametrize("dim", DIMS)
def test_the_log_determinant_of_what_is_not_positive_definite(dim: int) -> None:
    assert float(elliptical.log_determinant(torch.zeros(dim, dim))) == -math.inf
    assert float(elliptical.log_determinant(torch.diag(torch.tensor([-2.0] + [1.0] * (dim - 1))))) == -math.inf


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("size", [1e-300, 1e-30, 1.0, 1e30, 1e300])
def test_norm_without_overflow(dim: int, size: float) -> None:
    direction = torch.randn(6, dim)
    direction = direction / direction.norm(dim=-1, keepdim=True)
    u = (size * direction).requires_grad_()
    length = elliptical.norm(u)
    torch.testing.assert_close(length, torch.full((6,), size), rtol=1e-14, atol=0)
    (slope,) = torch.autograd.grad(length.sum(), u)
    torch.testing.assert_close(slope, direction, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dim", DIMS)
def test_norm_at_zero_and_twice_differentiated(dim: int) -> None:
    zero = torch.zeros(2, dim, requires_grad=True)
    (slope,) = torch.autograd.grad(elliptical.norm(zero).sum(), zero)
    assert slope.eq(0).all()
    u = torch.randn(3, dim, requires_grad=True)
    assert gradcheck(elliptical.norm, (u,))
    assert gradgradcheck(elliptical.norm, (u,))


@pytest.mark.parametrize("penalty", PROPER, ids=repr)
@pytest.mark.parametrize("kind", elliptical.LOCATIONS)
@pytest.mark.parametrize("dim", DIMS)
def test_log_prob_is_the_density_of_its_parts(penalty: Penalty, kind: str, dim: int) -> None:
    """The fused function against the unfused one, values and all gradients, and gradcheck twice."""
    value, location = torch.randn(2, 4, dim, requires_grad=True), torch.randn(4, dim, requires_grad=True)
    root = roots(4, dim=dim).requires_grad_()

    def parts(value: Tensor, location: Tensor, root: Tensor) -> Tensor:
        moved = torch.einsum("nij,mnj->mni", root, value - location if kind == "mu" else value)
        distance = (moved - location if kind == "nu" else moved).square().sum(-1).sqrt()
        return torch.logdet(root) - penalty.log_normalizer(dim) - penalty.rho(distance)

    def fused(value: Tensor, location: Tensor, root: Tensor) -> Tensor:
        return elliptical.log_prob(value, location, root, None, penalty, kind)

    inputs = (value, location, root)
    torch.testing.assert_close(fused(*inputs), parts(*inputs), rtol=1e-12, atol=1e-12)
    slope = torch.randn(2, 4)
    for a, b in zip(
        torch.autograd.grad(fused(*inputs), inputs, slope), torch.autograd.grad(parts(*inputs), inputs, slope),
        strict=True,
    ):  # fmt: skip
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    single = (value[0].detach().requires_grad_(), location, root)
    assert gradcheck(fused, single)
    assert gradgradcheck(fused, single)


@pytest.mark.parametrize("penalty", PROPER, ids=repr)
@pytest.mark.parametrize("dim", DIMS)
def test_a_given_log_determinant_takes_its_gradient_along(penalty: Penalty, dim: int) -> None:
    root = roots(4, dim=dim).requires_grad_()
    value, location = torch.randn(4, dim), torch.randn(4, dim)
    for kind in elliptical.LOCATIONS:
        own = elliptical.log_prob(value, location, root, None, penalty, kind)
        given = elliptical.log_prob(value, location, root, torch.logdet(root), penalty, kind)
        torch.testing.assert_close(given, own, rtol=1e-12, atol=1e-12)
        a, b = (torch.autograd.grad(x.sum(), root)[0] for x in (given, own))
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("layout", ["side by side", "apart", "expanded"])
def test_gradients_do_not_depend_on_the_memory_layout(layout: str) -> None:
    base, value, nu = roots(5, dim=2), torch.randn(5, 2), torch.randn(5, 2)
    root = {
        "side by side": base.clone(),
        "apart": base.permute(1, 2, 0).contiguous().permute(2, 0, 1),
        "expanded": base[:1].clone().expand(5, 2, 2),
    }[layout].detach()
    expected = root.clone(memory_format=torch.contiguous_format).requires_grad_()
    root.requires_grad_()
    for r in (root, expected):
        elliptical.log_prob(value, nu, r, None, Huber(1.0), "nu").sum().backward()
    torch.testing.assert_close(root.grad, expected.grad, rtol=1e-13, atol=1e-14)  # sums in another order


@pytest.mark.parametrize("penalty", PROPER, ids=repr)
@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_at_zero_at_the_knee_and_far_out(penalty: Penalty, dim: int, dtype: torch.dtype) -> None:
    for size in (0.0, 1e-30, 1.0, 1e6, 1e18, *((1e30, 1e150) if dtype == torch.float64 else (1e30,))):
        value = torch.zeros(dim, dtype=dtype)
        value[0] = size
        inputs = [value, torch.zeros(dim, dtype=dtype), torch.eye(dim, dtype=dtype)]
        for t in inputs:
            t.requires_grad_()
        log = elliptical.log_prob(inputs[0], inputs[1], inputs[2], None, penalty, "nu")
        if not (isinstance(penalty, Squared) and size >= 1e20):  # its square is not finite in float32
            assert log.isfinite()
        grads = torch.autograd.grad(log, inputs)
        finite = grads[:2] if isinstance(penalty, Squared) and size >= 1e20 else grads  # r y overflows with r^2
        assert all(bool(g.isfinite().all()) for g in finite)
        expected = float(penalty.psi(torch.tensor(size, dtype=dtype)))
        assert float(grads[1][0]) == pytest.approx(expected, rel=1e-5)
        assert grads[1][1:].eq(0).all()


@pytest.mark.parametrize("penalty", [Squared(), Huber(0.3), Huber(1.0), Charbonnier()], ids=repr)
def test_the_curvature_at_the_mean(penalty: Penalty) -> None:
    """-d2 log p / d nu2 = weight(0) I at a residual of exactly 0, where the length has no derivative."""
    nu, root = torch.tensor([3.0, 4.0]), torch.eye(2)
    found = torch.autograd.functional.hessian(
        lambda n: elliptical.log_prob(nu, n, root, None, penalty, "nu"), nu.clone()
    )
    torch.testing.assert_close(found, -float(penalty.weight(torch.tensor(0.0))) * torch.eye(2))


@pytest.mark.parametrize("penalty", [*PROPER, Huber(1e-3), Huber(1e3), Huber(3.0)], ids=repr)
@pytest.mark.parametrize("dim", [1, 2, 3, 50])
def test_radii_follow_the_mass(penalty: Penalty, dim: int) -> None:
    """Kolmogorov-Smirnov: the mass at the radii of samples is uniform; p > 1e-3, seed fixed."""
    radius = sampling.sample_radius(penalty, dim, torch.Size([3000]), torch.float64, torch.device("cpu"))
    found = stats.kstest(penalty.mass(radius, dim).numpy(), "uniform")
    assert found.pvalue > 1e-3


def test_an_all_zero_normal_still_has_a_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "randn", lambda shape, **keywords: torch.zeros(shape, **keywords))
    u = sampling.sample(Squared(), torch.Size([4, 3]), torch.float64, torch.device("cpu"))
    assert u.isfinite().all()
    assert (u.norm(dim=-1) > 0).all()


def test_compiles_without_a_break() -> None:
    dim = 2
    root, value, nu = roots(5, dim=dim).requires_grad_(), torch.randn(5, dim), torch.randn(5, dim)

    def loss(root: Tensor) -> Tensor:
        return elliptical.log_prob(value, nu, root, None, Huber(1.0), "nu").sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(root), loss(root), rtol=1e-13, atol=1e-13)
    (a,), (b,) = (torch.autograd.grad(f(root), root) for f in (compiled, loss))
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
