"""Training: the Lightning module and its callbacks, Algorithm 1, the run folder."""

from steadfit.training.callbacks.refit import RefitNoise
from steadfit.training.callbacks.rounds import Algorithm1
from steadfit.training.callbacks.stopping import EarlyStop
from steadfit.training.cascade import CoarseToFine, default_regions, fit_cascade, load_cascade
from steadfit.training.fit import fit
from steadfit.training.judgement import Judgement
from steadfit.training.module import TrainingModule
from steadfit.training.plans import PLANS, Plan
from steadfit.training.prediction import Prediction
from steadfit.training.regressor import Regressor
from steadfit.training.run import Run, load
from steadfit.training.settings import Settings

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
