"""Parts for a custom LightningModule: the noise model's refit between epochs, and the module that keeps its state."""

from steadfit.noise import LabelNoise
from steadfit.training.callbacks.refit import RefitNoise

__all__ = ["LabelNoise", "RefitNoise"]
