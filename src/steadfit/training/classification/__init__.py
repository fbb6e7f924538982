"""Training of classifiers: losses by name, settings, the Lightning module, the run folder."""

from steadfit.training.classification.fit import ClassSplits, fit, train
from steadfit.training.classification.losses import LOSSES, LossKind
from steadfit.training.classification.module import Classifier, ClassifierHistory, ClassifierModule, accuracy
from steadfit.training.classification.run import ClassifierRun, ClassPrediction, load_classifier
from steadfit.training.classification.settings import PROTOCOLS, ClassifierProtocol, ClassifierSettings

__all__ = [
    "LOSSES",
    "PROTOCOLS",
    "ClassPrediction",
    "ClassSplits",
    "Classifier",
    "ClassifierHistory",
    "ClassifierModule",
    "ClassifierProtocol",
    "ClassifierRun",
    "ClassifierSettings",
    "LossKind",
    "accuracy",
    "fit",
    "load_classifier",
    "train",
]
