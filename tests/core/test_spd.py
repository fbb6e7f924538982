"""spd_from_vector and its inverses: twins, derivatives at every gap, limits, errors."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable

import pytest
import torch
from spd_twin import from_eigenvalues, rotation, size, twin, vectors
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.func import jacrev, vmap

from steadfit.core import eigen
from steadfit.core.spd import inverse_from_vector, spd_from_vector, spd_sqrt, vector_from_spd
from steadfit.losses import EllipticalLoss
from steadfit.penalties import Huber

pytestmark = pytest.mark.usefixtures("float64")

DIMS = pytest.mark.parametrize("dim", [1, 2, 3, 4, 5])
FLOORS = pytest.mark.parametrize("floor", [0.5, 1.0, 3.0])
GAPS = pytest.mark.parametrize("gap", [0.0, 1e-12, 1e-8, 1e-4, 1.0])


# Values


@DIMS
@FLOORS
def test_equals_the_twin(dim: int, floor: float) -> None:
    v = torch.cat([vectors(dim, 20, spread) for spread in (0.1, 1.0, 10.0)]).view(4, 15, -1)
    root, log_det = spd_from_vector(v, dim, floor)
    expected_root, expected_log = twin(v, dim, floor)
    scale = v.norm(dim=-1) + floor  # errors are relative to the matrix
    assert float(((root - expected_root).abs().amax(dim=(-1, -2)) / scale).max()) < 1e-14
    assert float(((log_det - expected_log).abs() / (1 + scale / floor)).max()) < 1e-14
    torch.testing.assert_close(root, root.mT, rtol=0, atol=1e-13)


@DIMS
def test_no_eigen_solver_up_to_three(dim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    solver = torch.linalg.eigh
    monkeypatch.setattr(torch.linalg, "eigh", lambda matrix: called.append(1) or solver(matrix))
    v = vectors(dim).requires_grad_()
    root, log_det = spd_from_vector(v, dim)
    torch.autograd.grad(root.square().sum() + log_det.sum(), v)
    inverse_from_vector(v, dim).sum().backward()
    assert bool(called) == (dim > 3)


@DIMS
@FLOORS
def test_diagonal_matrices_keep_every_digit(dim: int, floor: float) -> None:
    values = torch.tensor([1e6, -20.0, 3.0, 1e-9, 0.7])[:dim]
    root, log_det = spd_from_vector(eigen.vector_of(torch.diag(values)), dim, floor)
    expected, expected_log = (part.squeeze() for part in spd_from_vector(values.unsqueeze(-1), 1, floor))
    torch.testing.assert_close(root, torch.diag(expected.reshape(dim)), rtol=1e-14, atol=0)
    torch.testing.assert_close(log_det, expected_log.sum(), rtol=1e-14, atol=0)


def test_above_the_knee_nothing_changes() -> None:
    for dim in (1, 2, 3, 5):
        v = from_eigenvalues(torch.linspace(2.0, 4.0, dim))
        torch.testing.assert_close(spd_from_vector(v, dim)[0], eigen.matrix_of(v, dim), rtol=0, atol=2e-14)


def test_log_det_where_the_eigenvalues_underflow() -> None:
    for dim in (1, 2, 3, 5):
        for value in (-1e3, -1e5):
            v = eigen.vector_of(value * torch.eye(dim)).float().requires_grad_()
            root, log_det = spd_from_vector(v, dim)
            assert float(root.detach().abs().max()) == 0
            assert log_det.item() == pytest.approx(dim * (value - 1), rel=1e-6)
            (gradient,) = torch.autograd.grad(log_det, v)  # (log g)' = 1/theta: the identity
            torch.testing.assert_close(gradient, eigen.vector_of(torch.eye(dim)).float())


@DIMS
@FLOORS
def test_inverse(dim: int, floor: float) -> None:
    v = vectors(dim, 30, 1.0)
    root, _ = spd_from_vector(v, dim, floor)
    torch.testing.assert_close(inverse_from_vector(v, dim, floor), torch.linalg.inv(root), rtol=1e-9, atol=1e-12)
    deep = eigen.vector_of(torch.diag(torch.linspace(-30.0, 2.0, dim)))  # A's own inverse has lost the small one here
    expected = [
        1 / x if x > floor else math.exp(1 - x / floor) / floor for x in torch.linspace(-30.0, 2.0, dim).tolist()
    ]
    torch.testing.assert_close(
        inverse_from_vector(deep, dim, floor).diagonal(), torch.tensor(expected), rtol=1e-13, atol=0
    )


def test_inverse_ends_at_the_root_of_the_largest_number() -> None:
    for dim in (1, 2, 3, 5):
        v = eigen.vector_of(-1e4 * torch.eye(dim)).requires_grad_()
        inverse = inverse_from_vector(v, dim)
        assert inverse[0, 0].item() == pytest.approx(math.sqrt(torch.finfo(torch.float64).max))
        assert bool(torch.autograd.grad(inverse.sum(), v)[0].isfinite().all())


@DIMS
@FLOORS
def test_vector_from_spd_is_the_inverse_map(dim: int, floor: float) -> None:
    v = vectors(dim, 30, 1.0)
    torch.testing.assert_close(vector_from_spd(spd_from_vector(v, dim, floor)[0], floor), v, rtol=0, atol=1e-11)
    start = vector_from_spd(torch.eye(dim), floor)
    one = 1.0 if floor <= 1 else floor * (1 - math.log(floor))
    torch.testing.assert_close(start, one * eigen.vector_of(torch.eye(dim)), rtol=1e-14, atol=0)
    torch.testing.assert_close(spd_from_vector(start, dim, floor)[0], torch.eye(dim), rtol=0, atol=1e-14)


@DIMS
def test_square_root(dim: int) -> None:
    columns = torch.randn(50, dim, dim)
    for matrix in (columns @ columns.mT, columns[..., :1] @ columns[..., :1].mT, torch.zeros(dim, dim)):
        root = spd_sqrt(matrix)
        torch.testing.assert_close(root @ root, matrix, rtol=0, atol=1e-14 * (1 + float(matrix.abs().max())))
        assert float(torch.linalg.eigvalsh(root).min()) > -1e-7
        assert not spd_sqrt(matrix.requires_grad_()).requires_grad


# Derivatives


@DIMS
@FLOORS
def test_first_and_second_derivatives(dim: int, floor: float) -> None:
    v = vectors(dim, 2).requires_grad_()
    assert gradcheck(lambda v: spd_from_vector(v, dim, floor), v)
    assert gradgradcheck(lambda v: spd_from_vector(v, dim, floor), v, fast_mode=dim > 3)
    assert gradcheck(lambda v: inverse_from_vector(v, dim, floor), vectors(dim, 2, 0.7).requires_grad_())


@GAPS
@pytest.mark.parametrize("dim", [2, 3, 4])
@pytest.mark.parametrize("floor", [0.9, 1.05, 1.1, 1.5])  # below, at, between and above the eigenvalues
def test_derivatives_at_every_gap(dim: int, gap: float, floor: float) -> None:
    values = torch.full((dim,), 1.05)
    values[0] += gap
    v = from_eigenvalues(values).requires_grad_()
    assert gradcheck(lambda v: spd_from_vector(v, dim, floor), v)
    if abs(floor - 1.05) > 1e-3 and gap < 1:  # g'' jumps at the knee
        assert gradgradcheck(lambda v: spd_from_vector(v, dim, floor), v)


@pytest.mark.parametrize("dim", [2, 3, 4])
def test_derivatives_of_equal_eigenvalues_in_closed_form(dim: int) -> None:
    """At B = x I the derivative of A is g'(x) times the identity, and that of log|A| is I/x or I/theta."""
    for value, slope, log_slope in ((-2.0, math.exp(-3.0), 1.0), (1.0, 1.0, 1.0), (4.0, 1.0, 0.25)):
        v = eigen.vector_of(value * torch.eye(dim)).requires_grad_()
        root, log_det = spd_from_vector(v, dim)
        upstream = torch.randn(dim, dim)
        (gradient,) = torch.autograd.grad(root, v, upstream, retain_graph=True)
        expected = slope * eigen.vector_of((upstream + upstream.T) / 2)
        torch.testing.assert_close(gradient, expected, rtol=1e-14, atol=1e-15)
        (gradient,) = torch.autograd.grad(log_det, v)
        torch.testing.assert_close(gradient, log_slope * eigen.vector_of(torch.eye(dim)), rtol=1e-14, atol=0)


@pytest.mark.parametrize("dim", [2, 3, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_gradient_has_no_jump_as_the_gap_closes(dim: int, dtype: torch.dtype) -> None:
    """Against the limit at gap 0: the difference is of the order of gap + eps, at a hundred gaps from 1e-3 to 0."""
    frame, upstream = rotation(dim), torch.randn(dim, dim)
    for base in (-1.0, 1.0 - 1e-9, 3.0):  # below, at the knee and above
        gaps = torch.cat([torch.logspace(-40, -3, 99), torch.zeros(1)])
        values = torch.full((100, dim), base)
        values[:, 0] += gaps
        v = eigen.vector_of((frame * values.unsqueeze(-2)) @ frame.T).to(dtype).requires_grad_()
        root, log_det = spd_from_vector(v, dim)
        (gradient,) = torch.autograd.grad(
            [root, log_det], v, [upstream.expand_as(root).to(dtype), torch.ones_like(log_det)]
        )
        error = (gradient - gradient[-1]).double().abs().amax(dim=-1)
        assert bool((error <= 5 * gaps + 40 * torch.finfo(dtype).eps).all())


def test_the_second_derivative_of_the_inverse_raises() -> None:
    v = vectors(2).requires_grad_()
    (gradient,) = torch.autograd.grad(inverse_from_vector(v, 2).sum(), v, create_graph=True)
    with pytest.raises(RuntimeError, match="inverse_from_vector: expected one derivative, got a second"):
        gradient.sum().backward()


@DIMS
def test_a_third_derivative_raises(dim: int) -> None:
    v = vectors(dim).requires_grad_()
    derivative = spd_from_vector(v, dim)[0].square().sum()
    for _ in range(2):
        (derivative,) = torch.autograd.grad(derivative.sum(), v, create_graph=True)
    with pytest.raises(RuntimeError, match="expected two derivatives at most, got a third"):
        derivative.sum().backward()


@DIMS
def test_one_output_without_the_other(dim: int) -> None:
    v = vectors(dim).requires_grad_()
    root, log_det = spd_from_vector(v, dim)
    weight = torch.randn_like(root)
    (both,) = torch.autograd.grad((root * weight).sum() + log_det.sum(), v, retain_graph=True)
    (first,) = torch.autograd.grad((root * weight).sum(), v, retain_graph=True)
    (second,) = torch.autograd.grad(log_det.sum(), v)
    torch.testing.assert_close(first + second, both)


# Range, shapes, dtypes


@pytest.mark.parametrize("dim", [1, 2, 3, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("floor", [1e-3, 1.0, 1e3])
def test_every_finite_input_has_a_finite_answer(dim: int, dtype: torch.dtype, floor: float) -> None:
    limits = torch.finfo(dtype)
    sizes = [limits.max, 1e30, 1e6, 1.0, 1e-30, limits.tiny, limits.smallest_normal * limits.eps, 0.0]
    for scale in sizes:
        random, sign = (
            2 * torch.rand(50, size(dim), dtype=dtype) - 1,
            torch.randint(-1, 2, (50, size(dim)), dtype=dtype),
        )
        v = (scale * torch.cat([random, sign])).requires_grad_()
        root, log_det = spd_from_vector(v, dim, floor)
        inverse = inverse_from_vector(v, dim, floor)
        found = [root, log_det, inverse]
        found += [torch.autograd.grad(part.sum(), v, retain_graph=True)[0] for part in (root, log_det, inverse)]
        assert all(bool(part.isfinite().all()) for part in found), scale


@pytest.mark.parametrize("dim", [2, 3, 5])
def test_huge_entries_are_exact(dim: int) -> None:
    v = vectors(dim, 20)
    expected = spd_from_vector(1e6 * v, dim)[0]
    torch.testing.assert_close(spd_from_vector(1e6 * v.float(), dim)[0].double(), expected, rtol=0, atol=1e6 * 2e-5)
    scaled, log_det = spd_from_vector(1e30 * v.float(), dim)  # nothing but the positive part is left
    values, columns = torch.linalg.eigh(eigen.matrix_of(v, dim))
    positive = (columns * values.clamp(min=0).unsqueeze(-2)) @ columns.mT
    torch.testing.assert_close((scaled / 1e30).double(), positive, rtol=0, atol=2e-5)
    assert bool(log_det.isfinite().all())


@DIMS
def test_batches_are_stacked_rows(dim: int) -> None:
    v = vectors(dim, 12).view(2, 3, 2, -1)
    for function in (
        lambda v: spd_from_vector(v, dim)[0],
        lambda v: spd_from_vector(v, dim)[1],
        lambda v: inverse_from_vector(v, dim),
    ):
        stacked = torch.stack([function(row) for row in v.view(12, -1)])
        together = function(v)
        torch.testing.assert_close(together, stacked.view(together.shape), rtol=1e-13, atol=1e-13)
    empty = torch.zeros(0, 4, size(dim), requires_grad=True)
    root, log_det = spd_from_vector(empty, dim)
    assert root.shape == (0, 4, dim, dim)
    assert log_det.shape == (0, 4)
    (root.sum() + log_det.sum()).backward()
    assert inverse_from_vector(empty, dim).shape == (0, 4, dim, dim)


@DIMS
def test_dtypes(dim: int) -> None:
    for dtype, wide in (
        (torch.float64,) * 2,
        (torch.float32,) * 2,
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
    ):
        v = vectors(dim).to(dtype).requires_grad_()
        root, log_det = spd_from_vector(v, dim)
        assert root.dtype == log_det.dtype == inverse_from_vector(v, dim).dtype == wide
        (root.sum() + log_det.sum()).backward()
        assert v.grad is not None
        assert v.grad.dtype == dtype
        assert vector_from_spd(root.detach()).dtype == spd_sqrt(root).dtype == wide


@DIMS
def test_autocast_changes_nothing(dim: int) -> None:
    v = vectors(dim).float().requires_grad_()
    weight = torch.randn(dim, dim)

    def run() -> list[Tensor]:
        root, log_det = spd_from_vector(v, dim)
        gradient = torch.autograd.grad((root * weight).sum() + log_det.sum(), v)[0]
        return [
            root,
            log_det,
            gradient,
            inverse_from_vector(v, dim),
            vector_from_spd(torch.eye(dim).float()),
            spd_sqrt(root),
        ]

    expected = run()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = run()
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@DIMS
def test_the_result_can_be_changed_in_place(dim: int) -> None:
    v = vectors(dim).requires_grad_()
    root, _ = spd_from_vector(v, dim)
    root[..., 0, 0].mul_(2)
    weight = torch.ones(dim, dim)
    weight[0, 0] = 2
    (gradient,) = torch.autograd.grad(root.sum(), v)
    (expected,) = torch.autograd.grad((spd_from_vector(v, dim)[0] * weight).sum(), v)
    torch.testing.assert_close(gradient, expected)


@DIMS
def test_function_transforms(dim: int) -> None:
    v = vectors(dim, 2)

    def value(row: Tensor) -> Tensor:
        root, log_det = spd_from_vector(row, dim)
        return root.square().sum() + 2 * log_det

    torch.testing.assert_close(vmap(value)(v), torch.stack([value(row) for row in v]))
    hessian = torch.stack([torch.autograd.functional.hessian(value, row) for row in v])  # type: ignore[arg-type]
    torch.testing.assert_close(vmap(jacrev(jacrev(value)))(v), hessian)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("dim", [2, 3])
def test_compiled_code_gives_the_same(dim: int) -> None:
    """Compilers write expm1 as exp - 1: without care the gradient would be lost at gaps around eps."""
    compiled = torch.compile(lambda v: spd_from_vector(v, dim), fullgraph=True, dynamic=False)
    gaps = torch.cat([torch.zeros(8), torch.logspace(-12, 1, 56)])
    values = torch.cat([gaps.unsqueeze(-1), torch.zeros(64, dim - 1)], dim=-1)
    frame = rotation(dim)
    for base in (-1.0, 1.0, 3.0):
        v = eigen.vector_of((frame * (base + values).unsqueeze(-2)) @ frame.T).float()
        weight = torch.randn(64, dim, dim).float()
        found = []
        for function in (compiled, lambda v: spd_from_vector(v, dim)):
            leaf = v.clone().requires_grad_()
            root, log_det = function(leaf)
            found.append((root, log_det, *torch.autograd.grad((root * weight).sum() + log_det.sum(), leaf)))
        for a, b in zip(*found, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


# Errors


@pytest.mark.parametrize("function", [spd_from_vector, inverse_from_vector])
def test_errors(function: Callable[..., object]) -> None:
    who = function.__name__
    with pytest.raises(TypeError, match=rf"{who}: expected v of a floating dtype, got torch.int64"):
        function(torch.ones(3, dtype=torch.long), 2)
    with pytest.raises(TypeError, match=rf"{who}: expected dim to be an integer, got float"):
        function(torch.ones(3), 2.0)
    with pytest.raises(ValueError, match=rf"{who}: expected dim >= 1, got 0"):
        function(torch.ones(0), 0)
    with pytest.raises(ValueError, match=rf"{who}: expected v of shape \(\.\.\., 6\) for dim = 3, got \(7, 3\)"):
        function(torch.ones(7, 3), 3)
    with pytest.raises(ValueError, match=rf"{who}: expected floor > 0 and finite, got 0"):
        function(torch.ones(3), 2, 0)


@pytest.mark.parametrize("function", [vector_from_spd, spd_sqrt])
def test_errors_of_matrices(function: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match=rf"{function.__name__}: expected square matrices .* got \(2, 3\)"):
        function(torch.ones(2, 3))
    with pytest.raises(TypeError, match=rf"{function.__name__}: expected matrix to be a tensor, got list"):
        function([[1.0]])


def test_errors_of_matrices_that_are_not_definite() -> None:
    with pytest.raises(ValueError, match=r"vector_from_spd: expected positive definite matrices, got an eigenvalue -2"):
        vector_from_spd(torch.diag(torch.tensor([1.0, -2.0])))
    with pytest.raises(ValueError, match=r"vector_from_spd: expected floor > 0 and finite, got -1"):
        vector_from_spd(torch.eye(2), -1)


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 6])
def test_nan_stays_in_its_row(dim: int) -> None:
    """LAPACK raises for a matrix with NaN; here it is one row's NaN, in value and gradient, for every dimension."""
    v = torch.randn(5, dim * (dim + 1) // 2)
    v[2, -1] = math.nan
    others = torch.arange(5) != 2
    for function in (lambda v: spd_from_vector(v, dim)[0], lambda v: spd_from_vector(v, dim)[1].unsqueeze(-1)):
        leaf = v.clone().requires_grad_()
        found = function(leaf)
        assert bool(found[2].isnan().any())
        torch.testing.assert_close(found[others], function(v[others]))
        (slope,) = torch.autograd.grad(found.sum(), leaf)
        assert bool(slope[others].isfinite().all())
        assert bool(slope[2].isnan().any())
    assert bool(inverse_from_vector(v, dim)[2].isnan().any())


def test_nan_predictions_of_every_dimension_give_a_loss_of_nan() -> None:
    for dim in (1, 2, 3, 4, 5):
        numbers = torch.randn(3, dim + dim * (dim + 1) // 2)
        numbers[1] = math.nan
        loss = EllipticalLoss(Huber(1.0), reduction="none")(numbers, torch.randn(3, dim))
        assert loss.isnan().tolist() == [False, True, False]
