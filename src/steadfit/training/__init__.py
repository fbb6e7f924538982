"""Training: the Lightning module and its callbacks, Algorithm 1, the run folder."""

from steadfit.training.cascade import CoarseToFine, default_regions, fit_cascade, load_cascade
from steadfit.training.fit import fit
from steadfit.training.module import TrainingModule
from steadfit.training.outcome import Judgement
from steadfit.training.plans import PLANS, Plan
from steadfit.training.prediction import Prediction
from steadfit.training.refit import RefitNoise
from steadfit.training.regressor import Regressor
from steadfit.training.rounds import Algorithm1
from steadfit.training.run import Run, load
from steadfit.training.settings import Settings
from steadfit.training.stopping import EarlyStop

__all__ = [
    "PLANS",
    "Algorithm1",
    "CoarseToFine",
    "EarlyStop",
    "Judgement",
    "Plan",
    "Prediction",
    "RefitNoise",
    "Regressor",
    "Run",
    "Settings",
    "TrainingModule",
    "default_regions",
    "fit",
    "fit_cascade",
    "load",
    "load_cascade",
]
