"""Networks in short files; any ``nn.Module`` that puts out ``noise.n_outputs(points, dims)`` numbers will do too."""

from steadfit.networks.compact import CompactConvNet
from steadfit.networks.mlp import MLP

__all__ = ["MLP", "CompactConvNet"]
