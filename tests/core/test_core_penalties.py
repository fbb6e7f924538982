"""Penalties against the formulas of the design in 60-digit decimal arithmetic, closed forms, limits and autograd."""

from __future__ import annotations

import dataclasses
import math
import shutil
import warnings
from collections.abc import Callable
from decimal import Decimal, localcontext

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from steadfit.penalties import (
    Absolute,
    Barron,
    Cauchy,
    Charbonnier,
    GemanMcClure,
    Huber,
    Penalty,
    Squared,
    StudentT,
    Tukey,
    Welsch,
)

pytestmark = pytest.mark.usefixtures("float64")

C = 4.6851


def d(value: float) -> Decimal:
    return Decimal(value)


# The slow twins: DESIGN's formulas, digit by digit.


def huber(u: Decimal, delta: float) -> Decimal:
    return u * u / 2 if abs(u) <= d(delta) else d(delta) * (abs(u) - d(delta) / 2)


def tukey(u: Decimal, c: float) -> Decimal:
    inside = 1 - (1 - (u / d(c)) ** 2) ** 3 if abs(u) <= d(c) else Decimal(1)
    return d(c) ** 2 / 6 * inside


def barron(u: Decimal, alpha: float, c: float) -> Decimal:
    a, square = d(alpha), (u / d(c)) ** 2
    if alpha == 2:
        return square / 2
    if alpha == 0:
        return (square / 2 + 1).ln()
    if alpha == -math.inf:
        return 1 - (-square / 2).exp()
    b = abs(a - 2)
    return b / a * ((a / 2 * (square / b + 1).ln()).exp() - 1)


TWINS: list[tuple[Penalty, Callable[[Decimal], Decimal]]] = [
    (Squared(), lambda u: u * u / 2),
    (Absolute(), abs),
    (Huber(1.345), lambda u: huber(u, 1.345)),
    (Huber(C), lambda u: huber(u, C)),
    (Tukey(), lambda u: tukey(u, C)),
    (Tukey(c=2.0), lambda u: tukey(u, 2.0)),
    (Charbonnier(), lambda u: (1 + u * u).sqrt() - 1),
    (Cauchy(2.5), lambda u: d(2.5) ** 2 / 2 * (1 + (u / d(2.5)) ** 2).ln()),
    (Welsch(3.0), lambda u: Decimal(9) / 2 * (1 - (-((u / 3) ** 2)).exp())),
    (GemanMcClure(1.5), lambda u: (u * u / 2) / (1 + (u / d(1.5)) ** 2)),
    (StudentT(3.0), lambda u: Decimal(2) * (1 + u * u / 3).ln()),
    (StudentT(0.7), lambda u: (d(0.7) + 1) / 2 * (1 + u * u / d(0.7)).ln()),
    *[
        (Barron(alpha=a, c=c), lambda u, a=a, c=c: barron(u, a, c))
        for a, c in [(1.0, 1.0), (2.0, 0.5), (0.0, 1.0), (-2.0, 2.0), (-math.inf, 1.5), (1.7, 1.0), (-7.0, 1.0), (4, 1)]
    ],
]
PENALTIES = [penalty for penalty, _ in TWINS]
BY_NAME = pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
SIZES = torch.tensor([0, 1e-6, 1e-3, 0.1, 0.5, 1, 1.345, 2, 3.3, 4.6851, 10, 1e2, 1e3, 1e6], dtype=torch.float64)


def test_defaults_are_the_designs() -> None:
    assert Tukey().c == 4.6851
    assert Huber(delta=2.0) == Huber(2.0)
    assert Cauchy(c=1.0) == Cauchy(1.0)
    assert Welsch(c=1.0) == Welsch(1.0)
    assert GemanMcClure(c=1.0) == GemanMcClure(1.0)
    assert StudentT(dof=4.0) == StudentT(4.0)
    assert Barron(alpha=0.5, c=2.0) == Barron(0.5, 2.0)


@pytest.mark.parametrize(("penalty", "twin"), TWINS, ids=[repr(p) for p in PENALTIES])
def test_rho_is_the_formula(penalty: Penalty, twin: Callable[[Decimal], Decimal]) -> None:
    with localcontext() as context:
        context.prec = 60
        expected = torch.tensor([float(twin(Decimal(u))) for u in SIZES.tolist()])
    torch.testing.assert_close(penalty.rho(SIZES), expected, rtol=1e-13, atol=0)
    torch.testing.assert_close(penalty.rho(-SIZES), expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize(("penalty", "twin"), TWINS, ids=[repr(p) for p in PENALTIES])
def test_psi_is_the_slope_of_the_formula(penalty: Penalty, twin: Callable[[Decimal], Decimal]) -> None:
    """A central difference in 60 digits: its error is far below float64's (but at a kink, which is left out)."""
    kinks = (0.0, 1.345, 2.0, 4.6851)
    sizes = [u for u in SIZES.tolist() if u not in kinks]
    with localcontext() as context:
        context.prec = 60
        h = Decimal("1e-22")
        slopes = [float((twin(Decimal(u) + h) - twin(Decimal(u) - h)) / (2 * h)) for u in sizes]
    torch.testing.assert_close(penalty.psi(torch.tensor(sizes)), torch.tensor(slopes), rtol=1e-12, atol=1e-18)


@BY_NAME
def test_psi_is_autograd_of_rho(penalty: Penalty) -> None:
    u = torch.cat([SIZES, -SIZES]).requires_grad_()
    (slope,) = torch.autograd.grad(penalty.rho(u).sum(), u)
    # 1e-15: autograd of expm1 adds 1 to its result, which leaves rounding of 1e-16 where the slope is nearly 0
    torch.testing.assert_close(slope, penalty.psi(u.detach()), rtol=1e-11, atol=1e-15)


@BY_NAME
def test_weight_is_psi_over_u_and_its_limit_at_zero(penalty: Penalty) -> None:
    u = torch.cat([SIZES[1:], -SIZES[1:]])
    torch.testing.assert_close(penalty.weight(u), penalty.psi(u) / u, rtol=1e-12, atol=1e-300)
    at_zero = float(penalty.weight(torch.zeros(())))
    if isinstance(penalty, Absolute):
        assert at_zero == math.inf
    else:
        assert at_zero == pytest.approx(float(penalty.psi(torch.tensor(1e-9))) / 1e-9, rel=1e-12)


@pytest.mark.parametrize(
    ("penalty", "expected"),
    [
        (Squared(), [1.0, 1.0, 1.0]),
        (Absolute(), [1.0, 1.0, 0.25]),
        (Huber(2.0), [1.0, 1.0, 0.5]),
        (Tukey(2.0), [1.0, 0.5625, 0.0]),
        (Charbonnier(), [1.0, 1 / math.sqrt(2), 1 / math.sqrt(17)]),
        (Cauchy(1.0), [1.0, 0.5, 1 / 17]),
        (Welsch(2.0), [1.0, math.exp(-0.25), math.exp(-4)]),
        (GemanMcClure(1.0), [1.0, 0.25, 1 / 289]),
        (StudentT(3.0), [1.0, 0.75, 3 / 19]),
        (Barron(alpha=1.0, c=1.0), [1.0, 1 / math.sqrt(2), 1 / math.sqrt(17)]),
        (Barron(alpha=4.0, c=3.0), [1.0, 1.0, 1.0]),  # its weight grows: trust is cut at 1
    ],
    ids=repr,
)
def test_trust_by_hand(penalty: Penalty, expected: list[float]) -> None:
    trust = penalty.trust(torch.tensor([0.0, 1.0, -4.0]))
    torch.testing.assert_close(trust, torch.tensor(expected), rtol=1e-14, atol=0)


@BY_NAME
def test_even_monotone_zero_at_zero(penalty: Penalty) -> None:
    u = torch.linspace(0, 30, 3001)
    for method in (penalty.rho, penalty.weight, penalty.trust):
        assert torch.equal(method(u), method(-u))
    assert torch.equal(penalty.psi(u), -penalty.psi(-u))
    assert float(penalty.rho(torch.zeros(()))) == 0
    assert float(penalty.psi(torch.zeros(()))) == 0
    assert bool((penalty.rho(u).diff() >= -1e-13).all())
    assert bool((penalty.psi(u) >= 0).all())
    trust = penalty.trust(u)
    assert bool(((trust >= 0) & (trust <= 1)).all())
    assert bool((trust.diff() <= 1e-14).all())


def test_bounded_and_redescending_influence() -> None:
    u = torch.linspace(-50, 50, 100_001)
    assert float(Huber(1.345).psi(u).abs().max()) == 1.345
    assert float(Charbonnier().psi(u).abs().max()) < 1
    assert bool((Tukey().psi(u)[u.abs() >= C] == 0).all())
    # The largest influence of the biweight is at c/sqrt(5), that of Cauchy's at c, by differentiation.
    assert float(u[Tukey().psi(u).argmax()]) == pytest.approx(C / math.sqrt(5), abs=1e-3)
    assert float(u[Cauchy(2.0).psi(u).argmax()]) == pytest.approx(2.0, abs=1e-3)


@BY_NAME
def test_gradcheck_at_zero_the_knee_and_far_out(penalty: Penalty) -> None:
    knee = [getattr(penalty, name) for name in ("delta", "c") if hasattr(penalty, name)]
    near = torch.tensor([0.0, 0.3, -1.0, 2.5, *knee, *[-k for k in knee]]).requires_grad_()
    # At the knee a difference of step h errs by h/4: the tolerance is the step's. |u| at 0: both sides cancel.
    assert torch.autograd.gradcheck(penalty.rho, near, eps=1e-6, atol=1e-6)
    far = torch.tensor([1e6, -1e6]).requires_grad_()
    assert torch.autograd.gradcheck(penalty.rho, far, eps=1.0, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("dtype", "power"), [(torch.float64, 30), (torch.float64, 150), (torch.float32, 18)])
@BY_NAME
def test_finite_over_the_documented_range(penalty: Penalty, dtype: torch.dtype, power: int) -> None:
    if isinstance(penalty, Barron) and penalty.alpha > 2:
        power //= 4  # |u|^alpha: the value itself overflows
    u = torch.logspace(-power, power, 401, dtype=torch.float64).to(dtype)
    u = torch.cat([-u, torch.zeros(1, dtype=dtype), u]).requires_grad_()
    rho = penalty.rho(u)
    (slope,) = torch.autograd.grad(rho.sum(), u)
    found = [rho, slope, penalty.psi(u), penalty.trust(u)]
    found.append(penalty.weight(u[u != 0]) if isinstance(penalty, Absolute) else penalty.weight(u))
    for value in found:
        assert value.dtype == dtype
        assert bool(value.isfinite().all())


@BY_NAME
def test_float32_is_close_to_float64_over_its_range(penalty: Penalty) -> None:
    u = torch.logspace(-15, 8, 200)
    for method in (penalty.rho, penalty.psi):
        # 500 ulp: some formulas multiply a logarithm of 1e16, itself rounded, by alpha; half of that was seen.
        torch.testing.assert_close(method(u.float()).double(), method(u.float().double()), rtol=6e-5, atol=1e-37)


@BY_NAME
def test_dtype_shape_and_device_are_kept(penalty: Penalty) -> None:
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for device in devices:
        u = torch.randn(2, 3, 4, dtype=torch.float32, device=device)
        for method in (penalty.rho, penalty.psi, penalty.weight, penalty.trust):
            value = method(u)
            assert (value.dtype, value.shape, value.device) == (u.dtype, u.shape, u.device)
    assert penalty.rho(torch.zeros(0, 2)).shape == (0, 2)


# Limits that join the families


def test_huber_with_a_large_knee_is_half_the_square() -> None:
    u = torch.linspace(-100, 100, 1001)
    assert torch.equal(Huber(1e3).rho(u), Squared().rho(u))
    torch.testing.assert_close(Huber(1e-9).rho(u) / 1e-9, Absolute().rho(u), atol=1e-8, rtol=0)


def test_redescenders_with_a_large_c_are_half_the_square() -> None:
    u = torch.linspace(-3, 3, 61)
    for penalty in (Tukey(1e6), Cauchy(1e6), Welsch(1e6), GemanMcClure(1e6)):
        torch.testing.assert_close(penalty.rho(u), 0.5 * u**2, rtol=1e-10, atol=0)
    torch.testing.assert_close(StudentT(1e12).rho(u), 0.5 * u**2, rtol=1e-10, atol=0)


@pytest.mark.parametrize(
    ("alpha", "named"),
    [
        (2.0, Squared()),
        (1.0, Charbonnier()),
        (0.0, Cauchy(math.sqrt(2))),
        (-2.0, GemanMcClure(2.0)),
        (-math.inf, Welsch(math.sqrt(2))),
    ],
)
def test_barron_equals_the_named_ones(alpha: float, named: Penalty) -> None:
    u = torch.cat([SIZES, -SIZES])
    general = Barron(alpha=alpha, c=1.0)
    torch.testing.assert_close(general.rho(u), named.rho(u), rtol=1e-13, atol=0)
    torch.testing.assert_close(general.psi(u), named.psi(u), rtol=1e-12, atol=1e-300)
    torch.testing.assert_close(Barron(alpha=alpha, c=3.0).rho(3 * u), named.rho(u), rtol=1e-13, atol=0)


@pytest.mark.parametrize("join", [2.0, 0.0])
@pytest.mark.parametrize("step", [1e-3, 1e-6, 1e-9, 1e-12, 1e-14, 1e-15, 5e-16, -5e-16, -1e-15, -1e-12, -1e-6, -1e-3])
def test_barron_is_continuous_in_alpha(join: float, step: float) -> None:
    u = torch.logspace(-6, 2, 81)
    at, beside = Barron(alpha=join), Barron(alpha=join + step)
    # d rho/d alpha grows with the logarithm of u²/|alpha - 2|: at most 50 here; 1e-13 for rounding
    tolerance = 50 * abs(step) + 1e-13
    torch.testing.assert_close(beside.rho(u), at.rho(u), rtol=tolerance, atol=0)
    torch.testing.assert_close(beside.psi(u), at.psi(u), rtol=tolerance, atol=0)


def test_barron_approaches_welsch() -> None:
    u = torch.linspace(-10, 10, 101)
    limit = Barron(alpha=-math.inf).rho(u)
    for alpha in (-1e8, -1e12, -1e14, -1e16, -1e300):
        torch.testing.assert_close(Barron(alpha=alpha).rho(u), limit, rtol=0, atol=1e-6 if alpha == -1e8 else 1e-10)


@given(
    alpha=st.floats(-20, 2.0),
    c=st.floats(0.1, 10),
    u=st.lists(st.floats(-1e8, 1e8), min_size=2, max_size=8),
)
def test_barron_properties(alpha: float, c: float, u: list[float]) -> None:
    r = torch.tensor(sorted(map(abs, u)))
    penalty = Barron(alpha=alpha, c=c)
    rho, trust = penalty.rho(r), penalty.trust(r)
    assert bool((rho >= 0).all())
    assert bool(rho.isfinite().all())
    assert bool((rho.diff() >= -1e-12 * rho[1:]).all())
    assert bool(((trust >= 0) & (trust <= 1)).all())
    assert bool((rho <= 0.5 * (r / c) ** 2 * (1 + 1e-12)).all())  # below the parabola for alpha <= 2


# Errors, freezing, compilation


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: Huber(0.0), r"Huber: expected delta > 0 and finite, got 0\.0\."),
        (lambda: Tukey(-2.5), r"Tukey: expected c > 0 and finite, got -2\.5\."),
        (lambda: Cauchy(math.nan), r"Cauchy: expected c > 0 and finite, got nan\."),
        (lambda: Welsch(math.inf), r"Welsch: expected c > 0 and finite, got inf\."),
        (lambda: GemanMcClure(0), r"GemanMcClure: expected c > 0 and finite, got 0\."),
        (lambda: StudentT(-1.0), r"StudentT: expected dof > 0 and finite, got -1\.0\."),
        (lambda: Barron(1.0, c=0.0), r"Barron: expected c > 0 and finite, got 0\.0\."),
        (lambda: Barron(math.inf), r"Barron: expected alpha to be finite or -inf, got inf\."),
        (lambda: Barron(math.nan), r"Barron: expected -inf <= alpha <= inf, got nan\."),
    ],
)
def test_wrong_parameters_say_the_number(build: Callable[[], Penalty], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        build()


def test_parameters_of_another_kind() -> None:
    with pytest.raises(TypeError, match=r"Huber: expected delta to be a number, got str\."):
        Huber("1")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"Barron: expected alpha to be a number, got str\."):
        Barron("1")  # type: ignore[arg-type]


@BY_NAME
def test_frozen_and_hashable(penalty: Penalty) -> None:
    for field in dataclasses.fields(penalty):  # type: ignore[arg-type]
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(penalty, field.name, 1.0)
    assert hash(penalty) == hash(dataclasses.replace(penalty))  # type: ignore[type-var]


def all_of_them(u: torch.Tensor) -> torch.Tensor:
    return torch.stack([p.rho(u) + p.psi(u) + p.trust(u) for p in PENALTIES])


def two_of_them(u: torch.Tensor) -> torch.Tensor:
    return Tukey().rho(u) + Charbonnier().rho(u)


@pytest.mark.parametrize(
    ("backend", "function"),
    [("aot_eager", all_of_them), pytest.param("inductor", two_of_them, marks=pytest.mark.slow)],
    ids=["traced", "compiled"],
)
def test_compiles_in_one_graph(backend: str, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
    if backend == "inductor" and shutil.which("g++") is None:
        pytest.skip("no C++ compiler")
    u = torch.linspace(-5, 5, 11)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler's own
        compiled = torch.compile(function, backend=backend, fullgraph=True)
        torch.testing.assert_close(compiled(u), function(u), rtol=1e-12, atol=1e-14)
