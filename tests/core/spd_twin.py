"""A slow twin of spd_from_vector, and the matrices that its tests need."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from steadfit.core.linalg import eigen


def size(dim: int) -> int:
    return dim * (dim + 1) // 2


def vectors(dim: int, n: int = 6, spread: float = 2.0) -> Tensor:
    return spread * torch.randn(n, size(dim))


def rotation(dim: int) -> Tensor:
    return torch.linalg.qr(torch.randn(dim, dim)).Q


def from_eigenvalues(values: Tensor) -> Tensor:
    """v of a matrix with these eigenvalues in a random frame."""
    frame = rotation(values.shape[-1])
    return eigen.vector_of((frame * values) @ frame.T)


def twin(v: Tensor, dim: int, floor: float) -> tuple[Tensor, Tensor]:
    """Matrix by matrix with numpy's eigen-solver, and the knee with a branch."""
    roots, logs = [], []
    for row in v.reshape(-1, size(dim)).tolist():
        matrix = np.zeros((dim, dim))
        entries = iter(row)
        for i in range(dim):
            for j in range(i, dim):
                matrix[i, j] = matrix[j, i] = next(entries) / (1 if i == j else math.sqrt(2))
        values, columns = np.linalg.eigh(matrix)
        image = [x if x > floor else floor * math.exp(x / floor - 1) for x in values]
        roots.append(columns @ np.diag(image) @ columns.T)
        logs.append(sum(math.log(x) if x > floor else math.log(floor) + x / floor - 1 for x in values))
    shape = v.shape[:-1]
    return torch.tensor(np.array(roots)).reshape(*shape, dim, dim), torch.tensor(logs).reshape(shape)
