"""The elliptical family as torch distributions: MultivariateNormal, cubature, samples, torch's own tools."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    constraints,
)

from steadfit.distributions import (
    Elliptical,
    MultivariateCharbonnier,
    MultivariateGauss,
    MultivariateHuber,
    MultivariateLaplace,
)
from steadfit.penalties import Absolute, Cauchy, Charbonnier, Huber, Penalty, Squared, Tukey

pytestmark = pytest.mark.usefixtures("float64")

FAMILIES = (MultivariateGauss, MultivariateHuber, MultivariateLaplace, MultivariateCharbonnier)
PENALTIES: dict[type[Elliptical], Penalty] = dict(
    zip(FAMILIES, (Squared(), Huber(1.0), Absolute(), Charbonnier()), strict=True)
)
EVERY = pytest.mark.parametrize("family", FAMILIES)
DIMS = pytest.mark.parametrize("dim", [1, 2, 3, 5])


def parameters(*batch: int, dim: int) -> tuple[Tensor, Tensor]:
    square = torch.randn(*batch, dim, dim)
    return torch.randn(*batch, dim), square @ square.mT + 0.5 * torch.eye(dim)


@DIMS
@pytest.mark.parametrize("location", ["nu", "mean"])
def test_gauss_is_the_multivariate_normal(dim: int, location: str) -> None:
    """To 1e-10: values, moments, entropy, and gradients of log_prob and entropy."""
    nu, root = parameters(4, dim=dim)
    value = torch.randn(6, 4, dim)
    nu.requires_grad_()
    root.requires_grad_()

    def both(nu: Tensor, root: Tensor) -> tuple[Elliptical, MultivariateNormal]:
        root = (root + root.mT) / 2
        mean = torch.linalg.solve(root, nu)
        ours = MultivariateGauss(nu, root) if location == "nu" else MultivariateGauss.from_mean(mean, root)
        return ours, MultivariateNormal(mean, precision_matrix=root @ root)

    ours, theirs = both(nu, root)
    exact = {"rtol": 1e-10, "atol": 1e-10}
    torch.testing.assert_close(ours.log_prob(value), theirs.log_prob(value), **exact)
    for name in ("mean", "mode", "variance", "stddev", "covariance_matrix", "precision_matrix"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), **exact)
    torch.testing.assert_close(ours.entropy(), theirs.entropy(), **exact)
    assert (ours.batch_shape, ours.event_shape) == (theirs.batch_shape, theirs.event_shape)
    for of in (lambda p: p.log_prob(value).sum(), lambda p: p.entropy().sum(), lambda p: p.mean.square().sum()):
        sides = (of(both(nu, root)[side]) for side in (0, 1))  # each with a graph of its own
        grads = [torch.autograd.grad(of_side, (nu, root), allow_unused=True) for of_side in sides]
        for a, b in zip(*grads, strict=True):
            if a is None or b is None:
                assert a is None or a.abs().max() < 1e-12
                assert b is None or b.abs().max() < 1e-12
            else:
                torch.testing.assert_close(a, b, **exact)


@EVERY
def test_densities_integrate_to_one_with_the_covariance_and_entropy(family: type[Elliptical]) -> None:
    """Twin: the midpoint rule on a grid in y. exp(-30) is left outside; the cusp of Laplace limits the order."""
    root = torch.tensor([[1.3, 0.4], [0.4, 0.8]])
    p = family(torch.tensor([0.6, -0.3]), root)
    half, count = 60.0, 1501
    axis = (torch.arange(count) + 0.5) * (2 * half / count) - half
    offset = torch.cartesian_prod(axis, axis)
    log = p.log_prob(p.mean + offset)
    cell = log.exp() * (2 * half / count) ** 2
    assert float(cell.sum()) == pytest.approx(1.0, abs=2e-4)
    torch.testing.assert_close(offset.mT @ (cell.unsqueeze(1) * offset), p.covariance_matrix, rtol=1e-3, atol=0)
    assert float(-(cell * log).sum()) == pytest.approx(float(p.entropy()), abs=1e-3)
    inside = p.mahalanobis(p.mean + offset) <= 1.5
    assert float(cell[inside].sum()) == pytest.approx(float(p.mass_within(1.5)), abs=6e-3)  # ragged edge


@DIMS
def test_huber_joins_gauss_and_laplace(dim: int) -> None:
    nu, root = parameters(5, dim=dim)
    value = torch.randn(5, dim)
    gauss, wide = MultivariateGauss(nu, root), MultivariateHuber(nu, root, delta=1e3)
    torch.testing.assert_close(wide.log_prob(value), gauss.log_prob(value), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(wide.entropy(), gauss.entropy(), rtol=1e-12, atol=1e-12)
    delta = 1e-3  # rho = delta r but for delta²/2
    laplace = MultivariateLaplace(delta * nu, delta * root)
    narrow = MultivariateHuber(nu, root, delta=delta)
    torch.testing.assert_close(narrow.log_prob(value), laplace.log_prob(value), rtol=0, atol=2e-6)
    torch.testing.assert_close(narrow.covariance_matrix, laplace.covariance_matrix, rtol=1e-5, atol=0)


def test_the_papers_constants() -> None:
    zero, eye = torch.zeros(2), torch.eye(2)
    huber = MultivariateHuber(zero, eye)
    assert float((-huber.log_prob(zero)).exp()) == pytest.approx(10.0941, abs=5e-5)
    torch.testing.assert_close(huber.covariance_matrix, 3.0765 * eye, rtol=0, atol=5e-5)
    found = [float(-family(zero, eye).log_prob(zero)) for family in FAMILIES]
    assert found == pytest.approx([1.838, 2.312, 1.838, 2.531], abs=5e-4)


@EVERY
@DIMS
def test_both_parametrisations_are_one_distribution(family: type[Elliptical], dim: int) -> None:
    nu, root = parameters(4, dim=dim)
    p = family(nu, root)
    q = family.from_mean(p.mean, root)  # type: ignore[call-arg]
    generic = Elliptical.from_mean(p.mean, root, PENALTIES[family])
    value = torch.randn(3, 4, dim)
    for other in (q, generic, Elliptical(nu, root, PENALTIES[family])):
        torch.testing.assert_close(other.log_prob(value), p.log_prob(value), rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(other.nu, nu, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(other.mean, p.mean, rtol=1e-10, atol=1e-10)
    assert type(q) is family


def test_the_mean_form_keeps_its_digits_far_from_zero() -> None:
    mean = torch.full((2,), 1e8)
    p = MultivariateGauss.from_mean(mean, torch.tensor([[3.0, 1.0], [1.0, 2.0]]))
    near = MultivariateGauss.from_mean(torch.zeros(2), p.root)
    step = torch.tensor([0.25, -0.5])
    torch.testing.assert_close(p.log_prob(mean + step), near.log_prob(step), rtol=1e-14, atol=0)


@EVERY
def test_a_given_log_det_is_used(family: type[Elliptical]) -> None:
    nu, root = parameters(4, dim=2)
    value, extra = torch.randn(4, 2), torch.randn(4)
    plain = family(nu, root)
    p = family(nu, root, log_det=torch.logdet(root) + extra)
    torch.testing.assert_close(p.log_prob(value), plain.log_prob(value) + extra)
    torch.testing.assert_close(p.entropy(), plain.entropy() - extra)
    wide = p.expand([3, 4])
    torch.testing.assert_close(wide.entropy(), (plain.entropy() - extra).expand(3, 4))
    underflown = family.from_mean(nu, torch.zeros(4, 2, 2), log_det=torch.full((4,), -2e3), validate_args=False)
    assert underflown.log_prob(value).isfinite().all()
    assert family.from_mean(nu, torch.zeros(4, 2, 2), validate_args=False).log_prob(value).eq(-math.inf).all()


@EVERY
@DIMS
def test_rows_of_a_batch_are_single_distributions(family: type[Elliptical], dim: int) -> None:
    nu, root = parameters(3, 2, dim=dim)
    value = torch.randn(5, 3, 2, dim)
    p = family(nu, root)
    for i in range(3):
        for j in range(2):
            row = family(nu[i, j], root[i, j])
            torch.testing.assert_close(p.log_prob(value)[:, i, j], row.log_prob(value[:, i, j]), rtol=1e-13, atol=1e-13)
            torch.testing.assert_close(p.covariance_matrix[i, j], row.covariance_matrix, rtol=1e-12, atol=1e-13)
            torch.testing.assert_close(p.entropy()[i, j], row.entropy(), rtol=1e-13, atol=1e-13)
    assert family(nu[:0], root[:0]).log_prob(value[:, :0]).shape == (5, 0, 2)


@EVERY
def test_expand_and_broadcasting(family: type[Elliptical]) -> None:
    nu, root = parameters(4, dim=2)
    for p in (family(nu, root), family.from_mean(nu, root)):  # type: ignore[call-arg]
        wide = p.expand(torch.Size([3, 4]))
        assert type(wide) is family
        assert wide.batch_shape == (3, 4)
        value = torch.randn(3, 4, 2)
        torch.testing.assert_close(wide.log_prob(value), p.log_prob(value), rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(wide.mean, p.mean.expand(3, 4, 2))
        assert wide.rsample((2,)).shape == (2, 3, 4, 2)
        assert wide.penalty == p.penalty
        assert p.batch_shape == (4,)
    shared = family(nu, root[0])
    assert shared.batch_shape == (4,)
    torch.testing.assert_close(shared.log_prob(nu), family(nu, root[:1].expand(4, 2, 2)).log_prob(nu))


@EVERY
@DIMS
def test_moments_entropy_and_radii_of_samples(family: type[Elliptical], dim: int) -> None:
    """20,000 draws: five standard errors, heavier for tails; the radius by Kolmogorov-Smirnov, p > 1e-3."""
    nu, root = parameters(dim=dim)
    p, n = family(nu, root), 20_000
    y = p.sample((n,))
    assert y.shape == (n, dim)
    white = (y - p.mean) @ root.mT / math.sqrt(p.penalty.covariance_factor(dim))
    assert float(white.mean(0).abs().max()) < 5 / math.sqrt(n)
    assert float((white.mT @ white / n - torch.eye(dim)).abs().max()) < 5 * math.sqrt(12 / n)
    surprise = -p.log_prob(y)
    assert float(surprise.mean()) == pytest.approx(float(p.entropy()), abs=5 * float(surprise.std()) / math.sqrt(n))
    radius = p.mahalanobis(y)
    assert stats.kstest(p.mass_within(radius).numpy(), "uniform").pvalue > 1e-3
    assert float((radius <= p.radius_of(0.9)).double().mean()) == pytest.approx(0.9, abs=0.011)


@EVERY
@DIMS
@pytest.mark.parametrize("location", ["nu", "mean"])
def test_gradients_of_samples(family: type[Elliptical], dim: int, location: str) -> None:
    """y = A^-1 (nu + e) or mean + A^-1 e with e fixed: dy/dA = -A^-1 dA A^-1 (nu + e), along a random slope."""
    place, root = parameters(4, dim=dim)
    place.requires_grad_()
    root.requires_grad_()
    p = family(place, root) if location == "nu" else family.from_mean(place, root)  # type: ignore[call-arg]
    y = p.rsample((3,))
    slope = torch.randn_like(y)
    found = torch.autograd.grad(y, (place, root), slope)
    inverse = torch.linalg.inv(root.detach())
    arm = y.detach() if location == "nu" else y.detach() - place.detach()
    back = torch.einsum("nji,mnj->mni", inverse, slope)  # A^-T slope
    torch.testing.assert_close(found[0], (back if location == "nu" else slope).sum(0), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found[1], -torch.einsum("mni,mnj->nij", back, arm), rtol=1e-9, atol=1e-9)
    assert not p.sample().requires_grad


@EVERY
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samples_follow_seed_shape_and_dtype(family: type[Elliptical], dtype: torch.dtype) -> None:
    nu, root = (t.to(dtype) for t in parameters(4, dim=3))
    p = family(nu, root)
    drawn = []
    for _ in range(2):
        torch.manual_seed(7)
        drawn.append(p.rsample((5, 2)))
    assert torch.equal(*drawn)
    assert (drawn[0].shape, drawn[0].dtype) == ((5, 2, 4, 3), dtype)
    assert p.rsample().shape == (4, 3)
    assert not torch.equal(p.sample(), p.sample())
    for name in ("mean", "covariance_matrix", "precision_matrix", "variance", "log_det", "nu"):
        assert getattr(p, name).dtype == dtype
    assert p.log_prob(nu).dtype == p.entropy().dtype == dtype


def test_mass_and_radius() -> None:
    p = MultivariateGauss(torch.zeros(3, 2), torch.eye(2))
    assert float(p.radius_of(0.75)) == pytest.approx(math.sqrt(2 * math.log(4)), rel=1e-12)
    radius = torch.rand(5, 4)
    torch.testing.assert_close(p.radius_of(p.mass_within(radius)), radius, rtol=1e-10, atol=0)


def test_torchs_own_tools_take_them() -> None:
    nu, root = parameters(3, 4, dim=2)
    p = MultivariateHuber(nu, root)
    value = torch.randn(3, 4, 2)
    torch.testing.assert_close(Independent(p, 1).log_prob(value), p.log_prob(value).sum(-1))
    mixture = MixtureSameFamily(Categorical(torch.ones(3, 4)), p)
    expected = torch.logsumexp(p.log_prob(value[:, :1]) - math.log(4), dim=-1)
    torch.testing.assert_close(mixture.log_prob(value[:, 0]), expected)
    assert mixture.sample((2,)).shape == (2, 3, 2)
    assert Elliptical.support is constraints.real_vector
    assert Elliptical.has_rsample
    assert set(Elliptical.arg_constraints) == {"nu", "root"}
    assert repr(p) == "MultivariateHuber(nu: (3, 4, 2), root: (3, 4, 2, 2), penalty: Huber(delta=1.0))"
    assert repr(MultivariateGauss.from_mean(nu, root)).startswith("MultivariateGauss(mean: (3, 4, 2)")


def test_errors_of_kind_and_shape_come_without_validation_too() -> None:
    nu, root = torch.zeros(4, 2), torch.eye(2).expand(4, 2, 2)

    def raises(kind: type[Exception], match: str, *arguments: object, **keywords: object) -> None:
        with pytest.raises(kind, match=match):
            Elliptical(*arguments, validate_args=False, **keywords)  # type: ignore[arg-type]

    raises(TypeError, "Elliptical: expected penalty to be a Penalty, got str", nu, root, "huber")
    raises(ValueError, "Tukey: expected a penalty whose .* Use Squared, Absolute, Huber", nu, root, Tukey())
    raises(ValueError, "Cauchy: expected a penalty whose", nu, root, Cauchy())
    raises(TypeError, r"expected nu and root of one dtype, got torch\.float64 and torch\.float32", nu, root.float(),
           Squared())  # fmt: skip
    raises(TypeError, "expected nu of a floating dtype", nu.long(), root, Squared())
    raises(ValueError, r"expected root \(\.\.\., 2, 2\), got \(4, 3, 3\)", nu, torch.eye(3).expand(4, 3, 3), Squared())
    raises(ValueError, r"expected nu \(\.\.\., D\), D >= 1, got \(\)", torch.tensor(1.0), root, Squared())
    raises(ValueError, "expected batch shapes that broadcast, got .*3.*", nu, torch.eye(2).expand(3, 2, 2), Squared())
    raises(ValueError, "expected batch shapes that broadcast", nu, root, Squared(), log_det=torch.zeros(5))
    for delta in (0.0, -1.0, math.inf):
        with pytest.raises(ValueError, match="Huber: expected delta > 0 and finite, got"):
            MultivariateHuber(nu, root, delta=delta)
    p = MultivariateGauss(nu, root, validate_args=False)
    with pytest.raises(ValueError, match=r"MultivariateGauss: expected value \(\.\.\., 2\), got \(4, 1\)"):
        p.log_prob(torch.zeros(4, 1))


def test_errors_of_values_come_with_validation() -> None:
    nu, root = torch.zeros(4, 2), torch.eye(2).repeat(4, 1, 1)
    bad = root.clone()
    bad[2] = -bad[2]
    with pytest.raises(ValueError, match=r"symmetric positive definite, got 1 of 4 matrices that are not.*\(2,\)"):
        MultivariateHuber(nu, bad, validate_args=True)
    skew = root.clone()
    skew[:, 0, 1] = 0.5
    with pytest.raises(ValueError, match="symmetric positive definite, got 4 of 4"):
        MultivariateHuber.from_mean(nu, skew, validate_args=True)
    MultivariateHuber(nu, bad, validate_args=False)
    lost = nu.clone()
    lost[1, 1] = math.nan
    with pytest.raises(
        ValueError, match=r"expected finite mean, got 1 values that are not, the first at \(1, 1\): nan"
    ):
        MultivariateLaplace.from_mean(lost, root, validate_args=True)
    p = MultivariateLaplace(nu, root, validate_args=True)
    with pytest.raises(
        ValueError, match=r"expected finite value, got 1 values that are not, the first at \(1, 1\): nan"
    ):
        p.log_prob(lost)
    assert MultivariateLaplace(nu, root, validate_args=False).log_prob(lost).isnan().sum() == 1
    assert p.expand([2, 4])._validate_args


@pytest.mark.parametrize("default", [True, False])
def test_validation_follows_torchs_default(default: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.compile switches that default off for the whole process, so the other tests ask for what they need."""
    monkeypatch.setattr(Distribution, "_validate_args", default)
    nu, lost = torch.zeros(2), torch.full((2,), math.nan)
    if default:
        with pytest.raises(ValueError, match="expected finite nu, got 2 values"):
            MultivariateGauss(lost, torch.eye(2))
    else:
        MultivariateGauss(lost, torch.eye(2))
    assert MultivariateGauss(nu, torch.eye(2))._validate_args is default
