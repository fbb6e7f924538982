"""Noise models in a training loop: what is known of every label, kept by sample index."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from steadfit.noise.base import NoiseModel, State


class LabelNoise(nn.Module):
    """A noise model with its state and the weights of all training labels, as buffers of a module.

    As part of your module it is checkpointed and moved with it. Its call is the training loss, and in training mode the
    model observes the batch before it (which most models ignore); :meth:`refit` is the step between epochs
    (:class:`steadfit.lightning.RefitNoise` does it for Lightning modules).

    Args:
        noise: the noise model. n_samples, points, dims: N, K, D of the training targets.
        by_trust: labels of models without weights of their own (Huber, Tukey, …) are weighted by their trust, for
            losses that are none of the residual, such as those of heatmaps.

    Buffers: ``label_weight`` (N, K, D), ``warming_up`` (bool), ``fallen_back`` (bool: EM declared everything an
    outlier), and the model's state under ``state_<name>``.

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
        self.register_buffer("label_weight", torch.ones(n_samples, points, dims))
        self.register_buffer("warming_up", torch.tensor(noise.needs_refit))
        self.register_buffer("fallen_back", torch.tensor(False))
        self._names = tuple(initial := noise.initial_state(points, dims))
        for name, value in initial.items():
            self.register_buffer(f"state_{name}", value)

    @property
    def state(self) -> State:
        """What the noise model has learned."""
        return {name: self.get_buffer(f"state_{name}") for name in self._names}

    @property
    def refits_once(self) -> bool:
        """Whether one refit at the end is enough: neither the loss nor the labels' weights need one before."""
        return self.noise.refits_once and not self.by_trust

    def forward(
        self, output: Tensor, target: Tensor, index: Tensor, mirrored: Tensor | None = None,
        permutation: Sequence[int] | None = None,
    ) -> Tensor:  # fmt: skip
        """The batch's loss, sum(w l)/N as in paper 2, eq. 7: distrusted labels do not raise the others' step.

        ``index`` (B,) says which training samples these are. ``mirrored`` (B,) with the points' ``permutation`` says
        which of them stand mirrored in the batch, left and right points exchanged, so that weights go with their label.
        """
        state = self._observed(output, target) if self.training else self.state
        if bool(self.warming_up):
            return self.noise.warmup_loss(output, target, state).sum() / len(target)
        weight = self.weights(index, mirrored, permutation)
        return self.noise.loss(output, target, state, weight).sum() / len(target)

    @torch.no_grad()
    def _observed(self, output: Tensor, target: Tensor) -> State:
        """The state after this batch. The loss gets the new tensors and not the buffers, which the next batch changes,
        maybe before this one's backward pass."""
        before = self.state
        after = self.noise.observe(output.detach(), target, before)
        for name, value in after.items():
            if value is not before[name]:
                before[name].copy_(value)
        return after

    def weights(
        self, index: Tensor, mirrored: Tensor | None = None, permutation: Sequence[int] | None = None
    ) -> Tensor:
        """The weights (B, K, D) of these samples' labels, as the call uses them; 1 during the warm-up."""
        weight = self.label_weight[index]
        if bool(self.warming_up):
            return torch.ones_like(weight)
        if mirrored is not None and permutation is not None:
            weight = torch.where(mirrored[:, None, None], weight[:, list(permutation)], weight)
        return weight

    def held_out_loss(self, output: Tensor, target: Tensor) -> Tensor:
        """The same loss for samples outside the training set, their weights taken from the same mixture."""
        if bool(self.warming_up):
            return self.noise.warmup_loss(output, target, self.state).sum() / len(target)
        weight = self.noise.weight(output, target, self.state)
        return self.noise.loss(output, target, self.state, weight).sum() / len(target)

    @torch.no_grad()
    def refit(self, output: Tensor, target: Tensor) -> None:
        """Re-estimate from the outputs and targets of the whole training set, in the order of the sample index.

        Ends the warm-up, unless the model finds that everything is an outlier: then training stays with, or goes back
        to, the warm-up loss, and ``fallen_back`` says so.
        """
        state = self.noise.refit(output, target, self.state)
        fallen = self.noise.collapsed(state)
        self.fallen_back.fill_(fallen)
        self.warming_up.fill_(fallen)
        for name, value in state.items():
            self.get_buffer(f"state_{name}").copy_(value)
        weight = None if fallen else self._weight(output, target, state)
        if weight is not None:  # what has no target here, missing or not seen, keeps its weight
            self.label_weight.copy_(torch.where(target.isnan(), self.label_weight, weight))

    def _weight(self, output: Tensor, target: Tensor, state: State) -> Tensor | None:
        if self.by_trust and not self.noise.keeps_weights:
            return self.noise.trust(output, target, state).unsqueeze(-1).expand_as(target)
        return self.noise.weight(output, target, state)

    def end_warmup(self) -> None:
        """Go over to the model's own loss without an estimate, where its loss needs none."""
        self.warming_up.fill_(False)

    def refit_scale(self, output: Tensor, target: Tensor) -> None:
        """Re-estimate without ending the warm-up, for a ``"wide"`` start."""
        warming = self.warming_up.clone()
        self.refit(output, target)
        self.warming_up.copy_(warming)
