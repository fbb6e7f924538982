"""Networks in short files; any other ``nn.Module`` with the right number of outputs works as well."""

from steadfit.networks.choice import NETWORKS, build_network, first_step, head_parameters, in_grey_levels
from steadfit.networks.cifar import CifarResNet
from steadfit.networks.compact import CompactConvNet
from steadfit.networks.convnet import ConvNet
from steadfit.networks.heads import HEADS, AveragePool, DepthwiseHead
from steadfit.networks.hourglass import HEATMAP_NETWORKS, Hourglass, LightHourglass
from steadfit.networks.mlp import MLP
from steadfit.networks.resnet import ResNet
from steadfit.networks.weights import IMAGENET_DEVIATION, IMAGENET_MEAN, LoadedWeights, load_weights

__all__ = [
    "HEADS",
    "HEATMAP_NETWORKS",
    "IMAGENET_DEVIATION",
    "IMAGENET_MEAN",
    "MLP",
    "NETWORKS",
    "AveragePool",
    "CifarResNet",
    "CompactConvNet",
    "ConvNet",
    "DepthwiseHead",
    "Hourglass",
    "LightHourglass",
    "LoadedWeights",
    "ResNet",
    "build_network",
    "first_step",
    "head_parameters",
    "in_grey_levels",
    "load_weights",
]
