"""Joint modes by SciPy, and random views, for the tests of ``fuse``."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
from scipy import optimize
from torch import Tensor

from steadfit.core import joint_mode
from steadfit.penalties import Absolute, Charbonnier, Huber, Penalty, Squared

Function = Callable[[np.ndarray], np.ndarray]
ENERGY: dict[Penalty, tuple[Function, Function]] = {  # rho and psi once more, in numpy
    Squared(): (lambda r: r * r / 2, lambda r: r),
    Absolute(): (lambda r: r, np.ones_like),
    **{
        Huber(k): (  # type: ignore[misc]
            lambda r, k=k: np.where(r <= k, r * r / 2, k * (r - k / 2)),
            lambda r, k=k: np.minimum(r, k),
        )
        for k in (0.01, 0.3, 1.0, 5.0)
    },
    Charbonnier(): (lambda r: np.sqrt(1 + r * r) - 1, lambda r: r / np.sqrt(1 + r * r)),
}


def views(count: int, batch: int, dim: int, *, condition: float = 3.0, spread: float = 2.0, outlying: float = 0.0):
    """Means (V, B, D) and roots (V, B, D, D) with eigenvalues over a range of ``condition``; a third of means far."""
    q, _ = torch.linalg.qr(torch.randn(count, batch, dim, dim))
    values = condition ** (torch.rand(count, batch, dim) - 0.5)
    root = (q * values.unsqueeze(-2)) @ q.mT
    far = outlying * (torch.rand(count, batch, 1) < 0.3) * torch.randn(count, batch, dim)
    return spread * torch.randn(count, batch, dim) + far, 0.5 * (root + root.mT)


def energy(y: np.ndarray, mu: np.ndarray, root: np.ndarray, penalty: Penalty) -> tuple[float, np.ndarray]:
    rho, psi = ENERGY[penalty]
    residual = np.einsum("vij,vj->vi", root, y - mu)
    r = np.linalg.norm(residual, axis=1)
    unit = residual / np.where(r > 0, r, 1)[:, None]
    return float(rho(r).sum()), np.einsum("v,vij,vi->j", psi(r), root, unit)


def by_scipy(mu: np.ndarray, root: np.ndarray, penalty: Penalty) -> tuple[np.ndarray, float]:
    """The lowest of the views' own modes and BFGS from two starts, where a root of the gradient sharpens it.

    In coordinates in which the sum of squares is round: else SciPy stops far from the minimum of badly scaled roots.
    """
    factor = np.linalg.cholesky(np.einsum("vij,vik->jk", root, root))
    mean = np.linalg.solve(factor @ factor.T, np.einsum("vij,vik,vk->j", root, root, mu))

    def place(z: np.ndarray) -> np.ndarray:
        return mean + np.linalg.solve(factor.T, z)

    def value(z: np.ndarray) -> tuple[float, np.ndarray]:
        f, g = energy(place(z), mu, root, penalty)
        return f, np.linalg.solve(factor, g)

    found = [(energy(m, mu, root, penalty)[0], m) for m in mu]
    nearest = min(found, key=lambda pair: pair[0])[1]
    for start in (np.zeros(len(mean)), factor.T @ (nearest - mean) + 1e-3):
        result = optimize.minimize(value, start, jac=True, method="BFGS", options={"gtol": 1e-11, "maxiter": 1000})
        found.append((result.fun, place(result.x)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # at a kink there is no root
            sharp = optimize.root(lambda z: value(z)[1], result.x, tol=1e-14).x
        if np.linalg.norm(value(sharp)[1]) <= np.linalg.norm(value(result.x)[1]):
            found.append((value(sharp)[0] - 1e-12 * result.fun, place(sharp)))  # equal but for rounding: the sharper
    lowest = min(found, key=lambda pair: pair[0])
    return lowest[1], lowest[0]


def gradient(y: Tensor, mu: Tensor, root: Tensor, penalty: Penalty) -> tuple[Tensor, Tensor]:
    """Gradient of F in units of the joint standard deviation (B, D), and the sum of the pulls' sizes (B,)."""
    factor = torch.linalg.cholesky((root.mT @ root).sum(0))
    residual = joint_mode.product(root, y - mu)
    r = residual.norm(dim=-1, keepdim=True)
    pull = (root.mT @ (penalty.psi(r) * residual / r.clamp(min=1e-300)).unsqueeze(-1)).squeeze(-1)
    pull = torch.linalg.solve_triangular(factor, pull.unsqueeze(-1), upper=False).squeeze(-1)
    return pull.sum(0), pull.norm(dim=-1).sum(0)
