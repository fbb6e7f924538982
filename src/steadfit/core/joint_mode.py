"""The minimiser of F(y) = sum_v c_v rho(||A_v y - nu_v||), for many cases at once, each until it converges.

Coordinates: with the QR factorisation of the stacked roots (rows weighted by sqrt c_v) the residuals are
B_v z + e_v, z = R (y - m), m the precision-weighted mean and sum c_v B_v^T B_v = I. There the sum of squares is
||z||^2 + constant, the start is z = 0, and neither the units nor the condition of the roots are left.

Majorise-minimise takes z - M^-1 g with g the gradient and M = sum c_v w_v B_v^T B_v, w = psi(r)/r. It never rises but
converges linearly, and near flat or kinked optima hardly at all. So every iteration also tries Newton's step with the
majoriser as damping, (H + 1e-8 M)^-1 g, and takes whichever falls lower: at most 20 steps in
320,000 random convex cases.

For a convex penalty every F is convex: where the iteration begins makes no difference to the minimum it finds.

Shapes: B cases, V views, D coordinates. float64 throughout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import reduce

import torch
from torch import Tensor

from steadfit.core.penalty import Penalty

EPS = torch.finfo(torch.float64).eps
DAMPING = 1e-8  # of Newton's matrix, in units of the majoriser's: keeps a flat direction's step finite
STATIONARY = 1e-14  # of the summed pulls: a gradient below is rounding
CALM = 0.1  # a Newton step on a non-convex F may change no weight by more, else it could leave the basin


def length(vector: Tensor) -> Tensor:
    """||v|| over the last axis, without overflow."""
    return reduce(torch.hypot, vector.unbind(-1)).abs()


def product(matrix: Tensor, vector: Tensor) -> Tensor:
    """M v, (..., D, D) and (..., D)."""
    result: Tensor = (matrix @ vector.unsqueeze(-1)).squeeze(-1)
    return result


def orthonormal(stack: Tensor) -> tuple[Tensor, Tensor]:
    """Q (B, n, D), R (B, D, D) of a stack (B, n, D): Gram-Schmidt, every column cleared twice.

    A column that depends on those before it gives a zero column of Q and a one on R's diagonal: that coordinate of z
    touches nothing and stays 0. (Batched LAPACK has no answer there, and on an accelerator no speed.)
    """
    columns: list[Tensor] = []
    factor = torch.zeros_like(stack[:, : stack.shape[-1]])
    for j, column in enumerate(stack.unbind(-1)):
        size = column.abs().amax(dim=-1, keepdim=True)
        column = column / torch.where(size > 0, size, 1.0)  # squares can't overflow
        before = column.norm(dim=-1, keepdim=True)
        for i, q in [*enumerate(columns)] * 2:
            part = (q * column).sum(dim=-1, keepdim=True)
            factor[:, i, j : j + 1] += part * size
            column = column - part * q
        rest = column.norm(dim=-1, keepdim=True)
        live = rest > 64 * EPS * before
        columns.append(torch.where(live, column / torch.where(live, rest, 1.0), 0.0))
        factor[:, j, j : j + 1] = torch.where(live, rest * size, 1.0)
    return torch.stack(columns, dim=-1), factor


@dataclass(frozen=True)
class Problem:
    """sum_v share_v rho(||block_v z + offset_v||), a view with share 0 taking no part."""

    block: Tensor  # (B, V, D, D)
    offset: Tensor  # (B, V, D) the residuals at the precision-weighted mean
    share: Tensor  # (B, V)
    idle: Tensor  # (B, D, D) diagonal, 1 where no view informs
    knee: Tensor  # (B, 1) an infinite weight is held below this residual; 0 where the penalty has none

    @classmethod
    def of(cls, nu: Tensor, root: Tensor, share: Tensor, penalty: Penalty) -> tuple[Problem, Tensor, Tensor]:
        """The problem for nu (B, V, D) and root (B, V, D, D), and the u and R of the way back, y = R^-1 (u + z)."""
        cases, views, dim = nu.shape
        stretch = share.sqrt()
        stack = (stretch[..., None, None] * root).reshape(cases, views * dim, dim)
        q, factor = orthonormal(stack)
        value = (stretch.unsqueeze(-1) * nu).flatten(1)
        u = product(q.mT, value)
        offset = product(q, u) - value
        rest = product(q.mT, offset)  # removes what rounding left over
        u, offset = u - rest, offset - product(q, rest)
        unit = torch.where(share > 0, stretch, 1.0)
        offset = offset.reshape(cases, views, dim) / unit.unsqueeze(-1)
        infinite = not math.isfinite(float(penalty.weight(torch.zeros((), dtype=torch.float64))))
        largest = length(offset).amax(dim=1, keepdim=True)
        problem = cls(
            block=q.reshape(cases, views, dim, dim) / unit[..., None, None],
            offset=offset,
            share=share,
            idle=torch.diag_embed((q == 0).all(dim=1).to(q)),
            knee=1e-9 + 1e-12 * largest if infinite else torch.zeros_like(largest),
        )
        return problem, u, factor

    def take(self, cases: Tensor) -> Problem:
        return Problem(*(getattr(self, field.name)[cases] for field in fields(self)))

    def residual(self, z: Tensor) -> Tensor:
        return self.change(z) + self.offset  # (B, V, D)

    def own_modes(self) -> Tensor:
        """The z of every view's own mode, (B, V, D); not finite where its root is singular or takes no part."""
        modes: Tensor = torch.linalg.solve_ex(self.block, -self.offset.unsqueeze(-1))[0].squeeze(-1)
        return modes

    def change(self, step: Tensor) -> Tensor:
        """B_v s, (B, V, D)."""
        return product(self.block.flatten(1, 2), step).view_as(self.offset)

    def weight(self, distance: Tensor, penalty: Penalty, at_least: float = 0.0) -> Tensor:
        """c_v psi(r)/r, (B, V)."""
        floor = torch.where(self.knee > 0, self.knee.clamp(min=at_least), 0.0)
        return self.share * penalty.weight(torch.maximum(distance, floor))

    def slope(self, distance: Tensor, weight: Tensor, penalty: Penalty) -> Tensor:
        """c_v psi'(r), (B, V), by a central difference: Newton's matrix needs no more than some digits of it."""
        r, h = torch.where(distance > self.knee, distance, 1.0), 1e-4
        found = self.share * (penalty.psi(r * (1 + h)) - penalty.psi(r * (1 - h))) / (2 * h * r)
        return torch.where(distance > self.knee, found, weight)

    def energy(self, z: Tensor, penalty: Penalty) -> Tensor:
        """F(z), (B,); inf where it overflows."""
        total = (self.share * penalty.rho(length(self.residual(z)))).sum(dim=1)
        return torch.where(z.isfinite().all(dim=1), total, math.inf).nan_to_num(nan=math.inf)


def minimize(problem: Problem, penalty: Penalty, max_iter: int, tol: float) -> tuple[Tensor, Tensor, Tensor]:
    """The minimiser z (B, D), the number of steps (B,) int64, and whether they converged (B,) bool."""
    whole, z = problem, _start(problem, penalty)
    found, active = z.clone(), torch.arange(len(z), device=z.device)
    n_iter = torch.zeros_like(active)
    converged = torch.zeros_like(active, dtype=torch.bool)
    for _ in range(max_iter):
        if not len(active):
            break
        z, moved, settled = _iterate(problem, penalty, z, tol)
        found[active] = z
        n_iter[active] += moved
        converged[active] = settled
        if bool(settled.any()):
            keep = ~settled
            z, active, problem = z[keep], active[keep], problem.take(keep)
    return _snapped(whole, found), n_iter, converged


def _start(problem: Problem, penalty: Penalty) -> Tensor:
    """The precision-weighted mean; for a convex F the best of it and the views' own modes.

    The minimum of a kinked F often lies in a view's own mode, which a descent would only creep up to.
    """
    z = torch.zeros_like(problem.offset[:, 0])
    if not penalty.convex:
        return z
    lowest = problem.energy(z, penalty)
    for candidate in problem.own_modes().unbind(dim=1):
        energy = problem.energy(candidate, penalty)
        better = energy < lowest * (1 - 1e-12)  # in a tie the mean wins
        z, lowest = torch.where(better.unsqueeze(-1), candidate, z), torch.where(better, energy, lowest)
    return z


def _snapped(problem: Problem, z: Tensor) -> Tensor:
    """z, or the view's own mode where that is nearer than twice the knee of an infinite weight."""
    distance = torch.where(problem.share > 0, length(problem.residual(z)), math.inf)
    nearest = distance.argmin(dim=1)
    case = torch.arange(len(z), device=z.device)
    mode = problem.own_modes()[case, nearest]
    inside = (distance[case, nearest] < 2 * problem.knee.squeeze(1)) & mode.isfinite().all(dim=1)
    return torch.where(inside.unsqueeze(-1), mode, z)


def _iterate(problem: Problem, penalty: Penalty, z: Tensor, tol: float) -> tuple[Tensor, Tensor, Tensor]:
    """One step from z, whether it was taken, and whether z has converged with it."""
    residual = problem.residual(z)
    distance = length(residual)
    weight = problem.weight(distance, penalty)
    gradient, majorizer, hessian, stationary = _model(problem, penalty, residual, distance, weight)
    matrices = torch.stack([majorizer, hessian + DAMPING * majorizer], dim=1)
    steps = -torch.linalg.solve_ex(matrices, gradient[:, None, :, None].expand(-1, 2, -1, -1))[0].squeeze(-1)
    step, newton = steps.unbind(dim=1)
    stretch = torch.ones_like(gradient[:, :1])
    if penalty.convex:
        stretch = _search(problem, penalty, residual, problem.change(newton)).unsqueeze(-1)
    here = problem.energy(z, penalty)
    rounding = 16 * EPS * length(problem.offset).amax(dim=1)
    noise = 4 * EPS * here + rounding * (weight * distance).sum(dim=1)
    low, lower = problem.energy(z + step, penalty), problem.energy(z + stretch * newton, penalty)
    accept = lower <= torch.minimum(low, here) + noise
    if not penalty.convex:
        after = problem.weight(length(problem.residual(z + newton)), penalty)
        calm = ((after - weight).abs() <= CALM * weight.amax(dim=1, keepdim=True)).all(dim=1)
        accept &= calm & (torch.linalg.cholesky_ex(hessian).info == 0)  # Newton is drawn to saddles
    step = torch.where(accept.unsqueeze(-1), stretch * newton, step)
    moved = ~stationary & (accept | (low <= here + noise))  # otherwise F falls by rounding alone
    close = length(steps).amax(dim=1) <= tol * (1 + length(z)) + rounding
    return torch.where(moved.unsqueeze(-1), z + step, z), moved, close | ~moved


def _model(
    problem: Problem, penalty: Penalty, residual: Tensor, distance: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradient g, majoriser M, Hessian H, all divided by the largest weight, and whether g is 0 up to rounding.

    With n = r/||r|| and t = B^T n:  g = sum psi t,  M = sum w B^T B,  H = M + sum (psi' - w) t t^T.
    """
    top = weight.amax(dim=1, keepdim=True)
    trusted = top > 1e-280
    unit = torch.where(trusted, top, 1.0)
    w = weight / unit
    bend = problem.slope(distance, weight, penalty) / unit - w
    direction = residual / torch.where(distance > 0, distance, 1.0).unsqueeze(-1)
    t = (problem.block * direction.unsqueeze(-1)).sum(dim=-2)  # (B, V, D)
    pull = (w * distance).unsqueeze(-1) * t
    gradient = pull.sum(dim=1)
    stationary = length(gradient) <= STATIONARY * length(pull).sum(dim=1)
    weighted = (problem.block * w[..., None, None]).flatten(1, 2)  # (B, V D, D)
    majorizer = weighted.mT @ problem.block.flatten(1, 2) + problem.idle
    hessian = majorizer + t.mT @ (bend.unsqueeze(-1) * t)
    return gradient, majorizer, hessian, stationary | ~trusted.squeeze(1)


def _search(problem: Problem, penalty: Penalty, residual: Tensor, change: Tensor) -> Tensor:
    """How far to go along a descent direction of a convex F: |phi'(s)| <= .1 |phi'(0)|, phi(s) = F at r + s q.

    The step s = 1 is taken where it satisfies this, as it does near the minimum; otherwise phi' is bracketed and its
    zero found by safeguarded false position.
    """

    def derivative(s: Tensor) -> Tensor:
        at = residual + s[:, None, None] * change
        return (problem.weight(length(at), penalty) * (at * change).sum(dim=-1)).sum(dim=1)

    s = torch.ones_like(problem.share[:, 0])
    low, high = torch.zeros_like(s), torch.full_like(s, math.inf)
    below = first = derivative(low)
    above = torch.zeros_like(s)
    searching = torch.ones_like(s, dtype=torch.bool)
    for _ in range(80):
        here = derivative(s)
        searching &= (here.abs() > 0.1 * first.abs()) & ((high - low > 1e-14 * high) | high.isinf())
        if not bool(searching.any()):
            break
        down = here < 0
        low, below = torch.where(down, s, low), torch.where(down, here, below)
        high, above = torch.where(down, high, s), torch.where(down, above, here)
        cut = low + (high - low) * (below / (below - above)).clamp(0.1, 0.9)
        cut = torch.where(low == 0, torch.minimum(cut, high / 4), cut)
        s = torch.where(searching, torch.where(high.isinf(), 4 * s, cut), s)
    return s


def settle(problem: Problem, penalty: Penalty, z: Tensor, tie: float) -> Tensor:
    """The minimum of a convex F with the least sum of squared residuals, where it has several.

    It has several only where z and the modes of all views that still pull lie on one line (a residual that turns costs
    more). That line is the direction of the farthest view; on it the sum of squares is least at the point nearest to 0,
    and z goes as far towards that as F stays flat: slopes below ``tie``, relative to the summed pulls, are rounding.
    """
    if not penalty.convex:
        return z
    residual = problem.residual(z)
    case = torch.arange(len(z), device=z.device)
    farthest = (length(residual) * (problem.share > 0)).argmax(dim=1)
    line = torch.linalg.solve_ex(problem.block[case, farthest], residual[case, farthest].unsqueeze(-1))[0].squeeze(-1)
    line = torch.where(line.isfinite().all(dim=1, keepdim=True), line, 0.0)
    size = length(line).unsqueeze(-1)
    line = line / torch.where(size > 0, size, 1.0)
    way = -(z * line).sum(dim=1, keepdim=True) * line
    return _snapped(problem, z + _extent(problem, penalty, z, way, tie).unsqueeze(-1) * way)


def _extent(problem: Problem, penalty: Penalty, z: Tensor, way: Tensor, tie: float) -> Tensor:
    """The largest s in [0, 1] with a slope of F at z + s way that is 0 up to rounding, by bisection."""
    extent, size = torch.zeros_like(z[:, 0]), length(way)
    ahead = torch.where(size > 1e4 * tie, 1e4 * tie / torch.where(size > 0, size, 1.0), 1.0)
    flat = (size > 0) & _level(problem, penalty, z, way, ahead, tie)  # a bend of 1e-4 of the pulls shows by there
    case = flat.nonzero().squeeze(-1)
    if not len(case):
        return extent
    problem, z, way = problem.take(case), z[case], way[case]
    low, high = extent[case], torch.ones_like(extent[case])
    low = torch.where(_level(problem, penalty, z, way, high, tie), high, low)
    for _ in range(60):
        middle = 0.5 * (low + high)
        flat = _level(problem, penalty, z, way, middle, tie)
        low, high = torch.where(flat, middle, low), torch.where(flat, high, middle)
    extent[case] = low
    return extent


def _level(problem: Problem, penalty: Penalty, z: Tensor, way: Tensor, s: Tensor, tie: float) -> Tensor:
    """Whether the pulls along the way cancel at z + s way."""
    residual, change = problem.residual(z + s.unsqueeze(-1) * way), problem.change(way)
    distance = length(residual)
    pull = problem.share * penalty.psi(distance)
    along = (residual * change).sum(dim=-1) / torch.where(distance > 0, distance, 1.0)
    return (pull * along).sum(dim=1).abs() <= tie * (pull * length(change)).sum(dim=1)
