"""Zero-mean Gaussian densities of rows with missing coordinates: by pattern, in blocks of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from steadfit.core.factor import LOG_2PI, regular_factor, standard_normal

BLOCK = 2**21
"""Numbers in a block: 16 MB in float64."""
MANY = 16
"""Dimensions from which on few missing coordinates are taken out of the precision matrix."""


@dataclass(frozen=True)
class _Cases:
    """Rows of one group with the same pattern of missing coordinates are a case: one matrix to factorise."""

    group: Tensor  # (C,)
    observed: Tensor  # (C, D) bool
    size: Tensor  # (C,) rows
    start: Tensor  # (C,) where a case's rows begin in ``order``
    order: Tensor  # (G N,) rows sorted by case

    @classmethod
    def of(cls, observed: Tensor) -> _Cases:
        groups, samples, _ = observed.shape
        pattern, which = torch.unique(observed.flatten(0, 1), dim=0, return_inverse=True)
        case = which * groups + torch.arange(groups, device=which.device).repeat_interleave(samples)
        order = case.argsort(stable=True)
        found, size = torch.unique_consecutive(case[order], return_counts=True)
        return cls(found % groups, pattern[found // groups], size, size.cumsum(0) - size, order)

    def blocks(self, chosen: Tensor, numbers: int) -> Iterator[Tensor]:
        """The chosen cases in groups of similar sizes, each with at most ``BLOCK`` numbers (a case has ``numbers``)."""
        level = self.size.double().log2().ceil().long()
        for depth in range(int(level.max()) + 1):
            lot = (chosen & (level == depth)).nonzero().flatten()
            step = max(BLOCK // max(numbers, self.observed.shape[1] * 2**depth), 1)
            yield from (lot[begin : begin + step] for begin in range(0, len(lot), step))

    def rows(self, some: Tensor) -> tuple[Tensor, Tensor]:
        """Indices of the rows of some cases, (B, longest), and which of them there are."""
        place = torch.arange(int(self.size[some].max()), device=some.device)
        real = place < self.size[some].unsqueeze(1)
        return self.order[(self.start[some].unsqueeze(1) + place).clamp(max=len(self.order) - 1)], real


def log_marginal(value: Tensor, covariance: Tensor, observed: Tensor) -> Tensor:
    """log Normal(v; 0, Sigma) over the observed coordinates, (G, N); 0 where nothing is observed.

    One factorisation per group and pattern. Where D >= 16, at most half is missing and Sigma is far from singular, it
    is that of the missing coordinates, since with the precision matrix P of all

        v_o^T Sigma_oo^-1 v_o = v^T P v - b^T P_mm^-1 b,  b = (P v)_m,  det Sigma_oo = det Sigma det P_mm.
    """
    cases = _Cases.of(observed)
    rows = torch.where(observed, value, 0.0).flatten(0, 1)  # annotated coordinates may be left out of the judgement
    log = torch.zeros_like(rows[:, 0])
    dim = value.shape[-1]
    missing = (~cases.observed).sum(dim=1)
    short, precision = _precisions(covariance)
    taken_out = short[cases.group] & (2 * missing <= dim)
    for some in cases.blocks(~taken_out, dim**2):
        index, real = cases.rows(some)
        keep = cases.observed[some]
        factor, deviation = _marginal_factor(covariance[cases.group[some]], keep)
        found = standard_normal(rows[index] / deviation.unsqueeze(1), factor, deviation.log().sum(dim=1, keepdim=True))
        log[index[real]] = (found + LOG_2PI / 2 * missing[some].unsqueeze(1).to(value))[real]
    most = int(missing[taken_out].max()) if bool(taken_out.any()) else 0
    for some in cases.blocks(taken_out, max(most, 1) * dim):
        index, real = cases.rows(some)
        found = _without_missing(rows[index], cases.observed[some], precision.of(cases.group[some]))
        log[index[real]] = found[real]
    return torch.where(observed.any(dim=-1), log.view(value.shape[:2]), 0.0)


@dataclass(frozen=True)
class _Precision:
    """Inverses of regularised correlation matrices, the standard deviations, and log|Sigma|/2."""

    matrix: Tensor  # (B, D, D)
    deviation: Tensor  # (B, D)
    half_log_det: Tensor  # (B,)

    def of(self, group: Tensor) -> _Precision:
        return _Precision(self.matrix[group], self.deviation[group], self.half_log_det[group])


def _precisions(covariance: Tensor) -> tuple[Tensor, _Precision]:
    """The precision of every group, and whether it may be used: rounding is at most 1/eps^(1/4) times eps."""
    factor, deviation = regular_factor(covariance)
    matrix = torch.cholesky_inverse(factor)
    most = matrix.diagonal(dim1=-2, dim2=-1).amax(dim=-1)
    limit = torch.finfo(covariance.dtype).eps ** -0.25 if covariance.shape[-1] >= MANY else 0.0
    log_det = (factor.diagonal(dim1=-2, dim2=-1).log() + deviation.log()).sum(dim=-1)
    return most <= limit, _Precision(matrix, deviation, log_det)


def _without_missing(row: Tensor, observed: Tensor, precision: _Precision) -> Tensor:
    """log Normal of rows (B, R, D), the rows of a case with the same missing coordinates, (B, R)."""
    scaled = row / precision.deviation.unsqueeze(1)
    pulled = torch.where(observed.unsqueeze(1), scaled, 0.0) @ precision.matrix  # (B, R, D)
    square = (pulled * scaled).sum(dim=-1)
    missing = (~observed).sum(dim=1)
    most = max(int(missing.max()), 1)
    which = observed.long().argsort(dim=1, stable=True)[:, :most]  # the missing ones first
    real = torch.arange(most, device=row.device) < missing.unsqueeze(1)
    block = precision.matrix.gather(1, which.unsqueeze(-1).expand(-1, -1, row.shape[-1]))
    block = block.gather(2, which.unsqueeze(1).expand(-1, most, -1))
    both = real.unsqueeze(-1) & real.unsqueeze(-2)
    factor = torch.linalg.cholesky(torch.where(both, block, torch.eye(most, dtype=row.dtype, device=row.device)))
    pull = torch.where(real.unsqueeze(1), pulled.gather(2, which.unsqueeze(1).expand(-1, row.shape[1], -1)), 0.0)
    rest = torch.linalg.solve_triangular(factor, pull.transpose(1, 2), upper=False).square().sum(dim=1)
    gone = (precision.deviation.log() * ~observed).sum(dim=1)
    log_det = precision.half_log_det + factor.diagonal(dim1=-2, dim2=-1).log().sum(dim=-1) - gone
    found: Tensor = -0.5 * (square - rest + LOG_2PI * observed.sum(dim=1, keepdim=True).to(row)) - log_det.unsqueeze(1)
    return found


def _marginal_factor(covariance: Tensor, pattern: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`regular_factor` of the covariances (B, D, D) with what is missing in a pattern (B, D) replaced by 1."""
    keep = pattern.unsqueeze(-1) & pattern.unsqueeze(-2)
    return regular_factor(torch.where(keep, covariance, torch.diag_embed((~pattern).to(covariance.dtype))))
