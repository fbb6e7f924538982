"""Noise models in a training loop: the state of the model and the weight of every label, by sample index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from steadfit import _checks
from steadfit.core.sums import Sums
from steadfit.noise.base import NoiseModel, State
from steadfit.noise.chunk import Chunk
from steadfit.noise.residuals import at_least_single
from steadfit.noise.sums import ALONE, Processes, refit


class LabelNoise(nn.Module):
    """A noise model with its state and the weights of all training labels, as buffers of a module.

    As part of your module it is checkpointed and moved with it, but its buffers stay at least float32 where the module
    is cast to half precision. Its call is the training loss; in training mode the model first observes the batch (which
    most models ignore). :meth:`refit` is the step between epochs (:class:`steadfit.lightning.RefitNoise` does it for
    Lightning modules).

    Buffers: ``label_weight`` (N, K, D), ``warming_up`` (bool), ``fallen_back`` (bool: EM declared everything an
    outlier), and the model's state under ``state_<name>``.

    Args:
        noise: the noise model.
        n_samples: N, the size of the training set.
        points: K, the number of points of a target.
        dims: D, the coordinates of a point.
        by_trust: True: labels are weighted by their trust under models that have no weights (Huber, Tukey, …), for
            losses that are not a function of the residual, such as those of heatmaps.

    >>> from steadfit.noise import L2
    >>> tracker = LabelNoise(L2(), n_samples=4, points=1, dims=1)
    >>> float(tracker(torch.zeros(2, 1), torch.tensor([[[2.0]], [[0.0]]]), torch.tensor([0, 1])))
    1.0
    """

    label_weight: Tensor
    warming_up: Tensor
    fallen_back: Tensor

    def __init__(self, noise: NoiseModel, *, n_samples: int, points: int, dims: int, by_trust: bool = False) -> None:
        super().__init__()
        self.noise, self.dims, self.by_trust = noise, dims, by_trust
        self.register_buffer("label_weight", at_least_single(torch.ones(n_samples, points, dims)))
        self.register_buffer("warming_up", torch.tensor(noise.needs_refit))
        self.register_buffer("fallen_back", torch.tensor(False))
        self._names = tuple(initial := noise.initial_state(points, dims))
        for name, value in initial.items():
            self.register_buffer(f"state_{name}", _wide(value))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or cast, with float32 in place of half precision, and without passing through it."""
        before = dict(self.named_buffers())
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, value in self.named_buffers():
            if value.dtype in (torch.float16, torch.bfloat16):
                setattr(self, name, before[name].to(value.device, torch.float32))
        return self

    @property
    def state(self) -> State:
        """What the noise model has learned."""
        return {name: self.get_buffer(f"state_{name}") for name in self._names}

    @property
    def refits_once(self) -> bool:
        """Whether one refit at the end is enough: neither the loss nor the labels' weights need an earlier one."""
        return self.noise.refits_once and not self.by_trust

    def forward(
        self, output: Tensor, target: Tensor, index: Tensor, mirrored: Tensor | None = None,
        permutation: Sequence[int] | None = None,
    ) -> Tensor:  # fmt: skip
        """The batch's loss, sum(w l)/B as in paper 2, eq. 7: distrusted labels do not raise the others' step.

        Args:
            output: (B, n_outputs), from the network.
            target: (B, K, D), NaN where a label is missing.
            index: (B,) integers, which training samples these are.
            mirrored: (B,) bool, with ``permutation``: which samples are mirrored in the batch, with left and right
                points exchanged, so that weights follow their labels; None: none.
            permutation: K numbers, the points' permutation under mirroring.

        Returns:
            A scalar; 0 for an empty batch.

        Raises:
            TypeError: output or target is not a floating-point tensor, or the index not one of integers.
            ValueError: a shape that does not fit (nothing is broadcast), an index outside [0, N).
        """
        self._check(output, target, index)
        state = self._observed(output, target) if self.training else self.state
        if bool(self.warming_up):
            return _mean(self.noise.warmup_loss(output, target, state))
        weight = self.weights(index, mirrored, permutation)
        return _mean(self.noise.loss(output, target, state, weight))

    def _check(self, output: Tensor, target: Tensor, index: Tensor | None = None) -> None:
        """Check shapes and dtypes of a batch, and of its index where it has one."""
        self.noise.checked(output, target)
        shape = tuple(self.label_weight.shape[1:])
        if target.shape[1:] != shape:
            raise ValueError(
                f"LabelNoise: expected target of shape {('B', *shape)}, got {tuple(target.shape)}. Its points and dims "
                "are those of the training targets."
            )
        if index is not None:
            self._check_index(index)
            if len(index) != len(target):
                raise ValueError(f"LabelNoise: expected an index of {len(target)} samples, got {len(index)}.")

    def _check_index(self, index: Tensor) -> None:
        if not isinstance(index, Tensor) or index.is_floating_point() or index.dtype == torch.bool:
            kind: Any = index.dtype if isinstance(index, Tensor) else type(index).__name__
            raise TypeError(f"LabelNoise: expected index to be a tensor of integers, got {kind}.")
        if index.dim() != 1:
            raise ValueError(f"LabelNoise: expected index of shape (B,), got {tuple(index.shape)}.")
        count = len(self.label_weight)
        outside = (index < 0) | (index >= count)
        if bool(outside.any()):
            raise ValueError(
                f"LabelNoise: expected sample indices in [0, {count}), got {int(index[outside][0])}. n_samples is the "
                "size of the training set."
            )

    @torch.no_grad()
    def _observed(self, output: Tensor, target: Tensor) -> State:
        """The state after this batch.

        The loss gets the new tensors, not the buffers, which the next batch may change before this one's backward pass.
        """
        before = self.state
        after = self.noise.observe(output.detach(), target, before)
        for name, value in after.items():
            if value is not before[name]:
                before[name].copy_(value)
        return after

    def weights(
        self, index: Tensor, mirrored: Tensor | None = None, permutation: Sequence[int] | None = None
    ) -> Tensor:
        """The weights (B, K, D) of these samples' labels, as the call uses them; 1 during the warm-up.

        Args:
            index: (B,) integers, which training samples these are.
            mirrored: (B,) bool, which samples are mirrored; None: none.
            permutation: K numbers, the points' permutation under mirroring.
        """
        self._check_index(index)
        weight = self.label_weight[index]
        if bool(self.warming_up):
            return torch.ones_like(weight)
        if mirrored is not None and permutation is not None:
            weight = torch.where(mirrored[:, None, None], weight[:, list(permutation)], weight)
        return weight

    def held_out_loss(self, output: Tensor, target: Tensor) -> Tensor:
        """The same loss for samples outside the training set, with weights from the same mixture."""
        self._check(output, target)
        if bool(self.warming_up):
            return _mean(self.noise.warmup_loss(output, target, self.state))
        weight = self.noise.weight(output, target, self.state)
        return _mean(self.noise.loss(output, target, self.state, weight))

    @torch.no_grad()
    def refit(
        self, output: Tensor, target: Tensor, index: Tensor | None = None, *, processes: Processes = ALONE
    ) -> None:
        """Re-estimate from the outputs and targets of the whole training set.

        This ends the warm-up, unless the model finds that everything is an outlier: then training stays with, or goes
        back to, the warm-up loss, and ``fallen_back`` is True.

        Args:
            output: (n, n_outputs), the network's output for this process's samples.
            target: (n, K, D), their targets, NaN where a label is missing.
            index: (n,), which samples they are; None: all N, in order. One that comes several times, here or in several
                processes, counts once. A sample that is missing everywhere takes no part and keeps its weight.
            processes: the processes that have samples, :class:`steadfit.noise.Group`; by default this one alone. The
                residuals stay where they are. The weights of all labels, N K D numbers, are shared, since every process
                may draw any sample in the next epoch.

        Raises:
            TypeError: output or target is not a floating-point tensor, or the index not one of integers.
            ValueError: a shape that does not fit, an index outside [0, N), or no sample at all.
        """
        index = torch.arange(len(self.label_weight), device=target.device) if index is None else index
        self._check(output, target, index)
        _checks.no_infinity("LabelNoise.refit", "targets", target)
        own = _counted_once(index, len(self.label_weight), processes)
        exact = exact_device(target.device)
        index, output, target = index[own], output[own].to(exact), target[own].to(exact)
        before = {name: value.to(exact) for name, value in self.state.items()}
        state = refit(self.noise, [Chunk(output, target)], before, processes)
        fallen = self.noise.collapsed(state)
        self.fallen_back.fill_(fallen)
        self.warming_up.fill_(fallen)
        for name, value in state.items():
            self.get_buffer(f"state_{name}").copy_(value)
        weight = None if fallen else self._weight(output, target, state)
        if weight is not None:
            self._share_weights(index, torch.where(target.isnan(), torch.nan, weight), processes)

    def _weight(self, output: Tensor, target: Tensor, state: State) -> Tensor | None:
        if self.by_trust and not self.noise.keeps_weights:
            return self.noise.trust(output, target, state).unsqueeze(-1).expand_as(target)
        return self.noise.weight(output, target, state)

    def _share_weights(self, index: Tensor, weight: Tensor, processes: Processes) -> None:
        """Set the weights of all labels, of which each process has some; one that is NaN everywhere keeps its value."""
        everywhere = torch.full_like(self.label_weight, -1.0)  # below every weight: nobody has it
        everywhere[index] = weight.to(everywhere).nan_to_num(nan=-1.0)
        found = processes.reduce(Sums(largest={"weight": everywhere})).largest["weight"]
        self.label_weight.copy_(torch.where(found >= 0, found, self.label_weight))

    def end_warmup(self) -> None:
        """Switch to the model's own loss without an estimate, where its loss needs none."""
        self.warming_up.fill_(False)

    def refit_scale(
        self, output: Tensor, target: Tensor, index: Tensor | None = None, *, processes: Processes = ALONE
    ) -> None:
        """Re-estimate without ending the warm-up, for a ``"wide"`` start; arguments as for :meth:`refit`."""
        warming = self.warming_up.clone()
        self.refit(output, target, index, processes=processes)
        self.warming_up.copy_(warming)


def exact_device(device: torch.device) -> torch.device:
    """The device on which refits compute: the same one if it has float64, which Apple's GPUs don't."""
    return torch.device("cpu") if device.type == "mps" else device


def _mean(loss: Tensor) -> Tensor:
    """Label losses (B, K) over the batch size; 0 for an empty batch."""
    return loss.sum() / max(len(loss), 1)


def _wide(value: Tensor) -> Tensor:
    return at_least_single(value) if value.is_floating_point() else value


def _counted_once(index: Tensor, count: int, processes: Processes) -> Tensor:
    """The samples for which this process is responsible, as positions in ``index``, in the order of the index.

    Of a sample that comes several times in a process the last one is taken, of one that several processes have the one
    with the highest rank: samplers pad the shares with samples of others.
    """
    position = torch.arange(len(index), device=index.device)
    last = torch.full((count,), -1, device=index.device).scatter_reduce(0, index.long(), position, "amax")
    owner = torch.where(last >= 0, processes.rank, -1)
    owner = processes.reduce(Sums(largest={"owner": owner})).largest["owner"]
    if not bool((owner >= 0).any()):
        raise ValueError("LabelNoise.refit: expected at least one sample, got none.")
    return last[owner == processes.rank]
