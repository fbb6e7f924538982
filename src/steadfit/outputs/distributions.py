"""Distributions: numbers that describe an elliptical distribution for every target."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from steadfit import _checks
from steadfit.core import predicted
from steadfit.core.elliptical import LOCATIONS
from steadfit.core.penalties import Huber, Penalty
from steadfit.distributions import Elliptical
from steadfit.outputs.base import Coordinates


@dataclass(frozen=True)
class Distributions(Coordinates):
    """The network puts out a location and a root A for every target: p(y) = |A|/c_d exp(-rho(||A y - nu||)).

    Args:
        penalty: rho, a proper one.
        covariance: ``"full"``, ``"diagonal"`` or ``"identity"``, the shape of A.
        location: ``"nu"`` (the mean is A^-1 nu) or ``"mu"`` (the mean itself).
        floor: theta of eq. 9, in 1/unit of the standardised target.

    Raises:
        TypeError: the penalty is not a :class:`~steadfit.penalties.Penalty`.
        ValueError: an improper penalty, an unknown covariance or location, a floor that is not positive.

    References:
        Mohlin et al., BMVC 2021, eqs 3-10.

    >>> Distributions().n_outputs(points=5, dims=2)  # two numbers for nu and three for A
    25
    """

    name: ClassVar[str] = "distributions"
    predicts_covariance: ClassVar[bool] = True
    penalty: Penalty = field(default_factory=Huber)
    covariance: str = "full"
    location: str = "nu"
    floor: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.penalty, Penalty):
            raise TypeError(f"Distributions: expected penalty to be a Penalty, got {type(self.penalty).__name__}.")
        self.penalty.require_proper()
        _checks.one_of("Distributions", "covariance", self.covariance, predicted.COVARIANCES)
        _checks.one_of("Distributions", "location", self.location, LOCATIONS)
        _checks.positive("Distributions", "floor", self.floor)

    def n_outputs(self, points: int, dims: int) -> int:
        return points * predicted.n_parameters(dims, self.covariance)

    def initial_output(self, points: int, dims: int) -> Tensor:
        """A = I and the mean at the centre of the standardised targets."""
        return predicted.start(dims, self.covariance, self.floor).repeat(points)

    def split(self, numbers: Tensor, dims: int) -> Tensor:
        """(N, P) to (N, K, numbers of one target)."""
        size = predicted.n_parameters(dims, self.covariance)
        return numbers.reshape(len(numbers), numbers.shape[1] // size, size)

    def prediction(self, numbers: Tensor, dims: int) -> Tensor:
        return predicted.means(self.split(numbers, dims), dims, self.covariance, self.location, self.floor)

    def distribution(self, numbers: Tensor, dims: int) -> Elliptical:
        split = self.split(numbers, dims)
        root, log_det = predicted.roots(split, dims, self.covariance, self.floor)
        mean = predicted.means(split, dims, self.covariance, self.location, self.floor)
        return Elliptical.from_mean(mean, root, self.penalty, log_det=log_det, validate_args=False)
