"""Training: the Lightning module and its callbacks, Algorithm 1, the run folder."""

from steadfit.training.cascade import CoarseToFine, default_regions, fit_cascade, load_cascade
from steadfit.training.fit import fit
from steadfit.training.module import RegressionModule, Regressor
from steadfit.training.outcome import Judgement
from steadfit.training.prediction import Prediction
from steadfit.training.refit import RefitNoise
from steadfit.training.rounds import Algorithm1
from steadfit.training.run import Run, load
from steadfit.training.settings import PROTOCOLS, Protocol, Settings
from steadfit.training.stopping import EarlyStop

__all__ = [
    "PROTOCOLS",
    "Algorithm1",
    "CoarseToFine",
    "EarlyStop",
    "Judgement",
    "Prediction",
    "Protocol",
    "RefitNoise",
    "RegressionModule",
    "Regressor",
    "Run",
    "Settings",
    "default_regions",
    "fit",
    "fit_cascade",
    "load",
    "load_cascade",
]
