"""Whole jobs, each a function of the command line: fit, compare, convergence, predict, evaluate, calibrate, corrupt
and demo.
"""

from steadfit.recipes.calibrate import calibrate_run
from steadfit.recipes.cascades import fit_cascade_run, open_regions
from steadfit.recipes.compare_classes import check_losses, compare_losses, fit_classifier
from steadfit.recipes.classified import evaluate_classifier, open_classes, predict_classes
from steadfit.recipes.compare import compare, variants
from steadfit.recipes.corrupt import KINDS, corrupt_dataset
from steadfit.recipes.convergence import check_study, convergence
from steadfit.recipes.demo import demo
from steadfit.recipes.fit import check_start, fit_run, open_table, read_truth
from steadfit.recipes.predict import evaluate_run, predict_to
from steadfit.training.opening import is_classifier

__all__ = [
    "KINDS",
    "calibrate_run",
    "check_losses",
    "check_start",
    "check_study",
    "compare",
    "compare_losses",
    "convergence",
    "corrupt_dataset",
    "demo",
    "evaluate_classifier",
    "evaluate_run",
    "fit_cascade_run",
    "fit_classifier",
    "fit_run",
    "is_classifier",
    "open_classes",
    "open_regions",
    "open_table",
    "predict_classes",
    "predict_to",
    "read_truth",
    "variants",
]
