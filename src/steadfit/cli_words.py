"""The words that options take, and which options belong to which task."""

from __future__ import annotations

from enum import StrEnum

# The words are repeated here, for --help must not import torch; a test compares them with the library's.
Noise = StrEnum("Noise", [
    "l2", "l1", "huber", "tukey", "gum",
    "predicted-gauss", "predicted-laplace", "predicted-huber", "predicted-charbonnier", "predicted-mixture",
])  # fmt: skip
Covariance = StrEnum("Covariance", ["identity", "diagonal", "full"])
Location = StrEnum("Location", ["nu", "mu"])
Network = StrEnum("Network", [
    "default", "compact", "resnet18", "resnet50", "resnet101", "resnet8", "resnet20", "resnet110",
    "convnet",
    "hourglass1", "hourglass2", "hourglass8", "hourglass-light",
])  # fmt: skip
Task = StrEnum("Task", ["regression", "classification"])
Loss = StrEnum("Loss", [
    "mse", "ohkm", "bce", "focal", "anchor", "ce", "ohem",
    "anchor-target", "anchor-both", "anchor-static", "anchor-warmup",
])  # fmt: skip
Decoding = StrEnum("Decoding", ["refined", "quarter", "argmax"])
Head = StrEnum("Head", ["auto", "depthwise", "average", "flatten"])
View = StrEnum("View", ["mirror", "scales"])
Measure = StrEnum("Measure", ["median", "mean"])
Weigh = StrEnum("Weigh", ["auto", "estimate", "none"])
Unit = StrEnum("Unit", ["sample", "point", "coordinate"])
Scale = StrEnum("Scale", ["epoch", "batch", "running"])
WarmUp = StrEnum("WarmUp", ["l1", "l2", "wide"])
ProtocolName = StrEnum(
    "ProtocolName", ["steady", "paper", "staged", "hourglass", "convnet", "one-cycle", "cifar", "imagenet"]
)
Residuals = StrEnum("Residuals", ["pass", "epoch"])
Kind = StrEnum("Kind", ["ngo", "l_ugo", "g_ugo", "swap", "gaussian", "symmetric"])
Split = StrEnum("Split", ["train", "val", "test", "all"])
Optimizer = StrEnum("Optimizer", ["adamw", "rmsprop", "sgd"])
Placing = StrEnum("Placing", ["jitter", "folds"])
Device = StrEnum("Device", ["auto", "cpu", "cuda", "mps"])
Sides = StrEnum("Sides", ["person", "observer"])
Visibility = StrEnum("Visibility", ["occluded", "missing"])
BoxFit = StrEnum("BoxFit", ["inside", "stretch"])

NETWORKS = [one for one in Network if not one.startswith(("default", "hourglass"))]
HEATMAP_NETWORKS = [one for one in Network if one.startswith("hourglass")]
COMPARED_NOISES = ("l2", "huber", "tukey", "gum")
COMPARED_LOSSES = ("ce", "bce", "ohem", "focal", "anchor")
HEATMAP_LOSSES = ("mse", "ohkm", "bce", "focal", "anchor")
CLASS_LOSSES = (*COMPARED_LOSSES, "anchor-target", "anchor-both", "anchor-static", "anchor-warmup")

CLASSIFIED = ("epochs", "batch_size", "lr", "size", "channels", "loss", "gamma", "margin", "protocol", "workers")
"""The settings of regression that classification has too, under the same names."""
FOR_HEATMAPS = ("loss", "gamma", "margin", "decoding")
"""Options that networks of coordinates do not have."""
FOR_CLASSIFICATION = ("label", "seeds")
"""Options that regression does not have."""
FOR_CASCADES = ("regions", "fine_network", "fine_noise", "fine_size", "fine_epochs", "placing")
"""Options that a single network does not have."""
FOR_REGRESSION = (
    *("noise", "truth", "methods", "points", "targets", "features", "pairs", "normalizer", "units"),
    *("scale", "warmup"),
    *("visibility", "sides", "box", "box_margin", "box_fit"),
    *("unit", "covariance", "location", "weights", "decoding", "residuals", "patience", "warp", "optimizer"),
)
"""Options that classification does not have."""
