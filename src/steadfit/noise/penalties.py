"""Noise models that consist of one penalty: L2, L1, Huber, Tukey."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from steadfit import _checks
from steadfit._options import option
from steadfit.core.penalties import TUKEY_C, Absolute, Huber, Penalty, Squared, Tukey
from steadfit.noise.base import NoiseModel, State
from steadfit.noise.residuals import masked_sum, penalized, trust_of_labels
from steadfit.noise.scaled import PenaltyNoise


@dataclass(frozen=True, kw_only=True)
class L2(NoiseModel):
    """Half the squared residual: every label counts in full, trust is 1, nothing is suspect.

    The best choice for clean labels with Gaussian errors; one wrong label can move it anywhere.

    Args:
        warmup: without effect, since nothing is ever estimated.
    """

    name: ClassVar[str] = "l2"
    needs_refit: ClassVar[bool] = False
    warmup: str = option("l1", "without effect: nothing is ever estimated", choices=("l1", "l2"), command_line=False)

    def loss(self, output: Tensor, target: Tensor, state: State, weight: Tensor | None = None) -> Tensor:
        location, target = self.located(output, target)
        return masked_sum(penalized(Squared(), location, target, weight=weight), weight, target)

    def trust(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        location, target = self.located(output, target)
        return trust_of_labels(location.isfinite().to(target.dtype), target)

    def is_outlier(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        _, target = self.checked(output, target)
        return torch.zeros_like(target[..., 0], dtype=torch.bool)


@dataclass(frozen=True, kw_only=True)
class L1(PenaltyNoise):
    """The absolute residual. The loss has no parameter: the MAD serves only trust and suspects.

    Args:
        warmup: the loss of the first epochs, ``"l1"`` (the default) or ``"l2"``.
        cut: a label beyond it is suspect, in units of the scale.
        scale: ``"epoch"``, since the loss has no scale.
    """

    name: ClassVar[str] = "l1"
    warmup: str = option("l1", "the loss of the first epochs", choices=("l1", "l2"))
    scale: str = option("epoch", "without effect: the loss has no scale", choices=("epoch",), command_line=False)

    @property
    def refits_once(self) -> bool:
        return True

    def penalty(self) -> Penalty:
        return Absolute()

    def loss(self, output: Tensor, target: Tensor, state: State, weight: Tensor | None = None) -> Tensor:
        location, target = self.located(output, target)
        return masked_sum(penalized(Absolute(), location, target, weight=weight), weight, target)


@dataclass(frozen=True, kw_only=True)
class HuberNoise(PenaltyNoise):
    """Huber's penalty in MAD units: quadratic up to delta, linear beyond.

    Args:
        warmup: the loss of the first epochs: ``"l1"`` (the default), ``"l2"``, or ``"wide"``.
        delta: the knee, in units of the scale. 4.6851 in paper 2 (the default, to compare with it); 1.345 is the usual
            choice for 95 % efficiency.
        cut: a label beyond it is suspect, in units of the scale; 4.6851 whatever the knee is: with a cut at 1.345, 18 %
            of right labels with Gaussian errors would be suspects.
        scale: the residuals whose MAD is taken, see :class:`~steadfit.noise.base.PenaltyNoise`.
        momentum: of the scale ``"running"``, in [0, 1).

    References:
        Lathuiliere et al., ECCV 2018, Fig. 2.
    """

    name: ClassVar[str] = "huber"
    delta: float = TUKEY_C

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.positive("HuberNoise", "delta", self.delta)

    def penalty(self) -> Penalty:
        return Huber(self.delta)


@dataclass(frozen=True, kw_only=True)
class TukeyNoise(PenaltyNoise):
    """Tukey's biweight in MAD units: a label beyond c has no influence, and is an outlier.

    It works while the MAD measures the inliers: if half of the labels or more are wrong, the scale is the outliers'.

    Args:
        warmup: ``"l2"`` for some epochs (paper 2), ``"l1"`` (the default), or ``"wide"``, 7 times the scale (the
            authors of paper 1).
        c: in units of the scale; 4.6851 gives 95 % efficiency on Gaussian residuals. It is also ``cut``.
        scale: the residuals whose MAD is taken, see :class:`~steadfit.noise.base.PenaltyNoise`.
        momentum: of the scale ``"running"``, in [0, 1).

    References:
        Belagiannis et al., ICCV 2015, eqs 3-5.
    """

    name: ClassVar[str] = "tukey"
    c: float = TUKEY_C
    cut: float = field(init=False, default=TUKEY_C)  # c

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.positive("TukeyNoise", "c", self.c)
        object.__setattr__(self, "cut", self.c)

    def penalty(self) -> Penalty:
        return Tukey(self.c)
