"""Networks in short files; any ``nn.Module`` that puts out ``noise.n_outputs(points, dims)`` numbers will do too."""

from steadfit.networks.choice import GREY_LEVELS, NETWORKS, STEPS, build_network, head_parameters, output_layer
from steadfit.networks.cifar import CifarResNet
from steadfit.networks.compact import CompactConvNet
from steadfit.networks.convnet import ConvNet
from steadfit.networks.heads import HEADS, AveragePool, DepthwiseHead
from steadfit.networks.hourglass import HEATMAP_NETWORKS, Hourglass, LightHourglass
from steadfit.networks.mlp import MLP
from steadfit.networks.reading import HeatmapReader
from steadfit.networks.resnet import ResNet
from steadfit.networks.weights import IMAGENET_DEVIATION, IMAGENET_MEAN, LoadedWeights, load_weights

__all__ = [
    "GREY_LEVELS",
    "HEADS",
    "HEATMAP_NETWORKS",
    "IMAGENET_DEVIATION",
    "IMAGENET_MEAN",
    "MLP",
    "NETWORKS",
    "STEPS",
    "AveragePool",
    "CifarResNet",
    "CompactConvNet",
    "ConvNet",
    "DepthwiseHead",
    "HeatmapReader",
    "Hourglass",
    "LightHourglass",
    "LoadedWeights",
    "ResNet",
    "build_network",
    "head_parameters",
    "load_weights",
    "output_layer",
]
