"""Whole jobs, one function for each command of the command line."""

from steadfit.recipes.calibrate import calibrate_run
from steadfit.recipes.cascades import fit_cascade_run, open_regions
from steadfit.recipes.check import check
from steadfit.recipes.compare import compare, variants
from steadfit.recipes.compare_classes import check_losses, compare_losses
from steadfit.recipes.convergence import check_study, convergence
from steadfit.recipes.convert import convert
from steadfit.recipes.corrupt import KINDS, corrupt_dataset
from steadfit.recipes.demo import demo
from steadfit.recipes.evaluate import evaluate_run
from steadfit.recipes.fit import fit_run
from steadfit.recipes.opening import check_start, has_classes, open_classes, open_table, read_truth
from steadfit.recipes.predict import predict_to

__all__ = [
    "KINDS",
    "calibrate_run",
    "check",
    "check_losses",
    "check_start",
    "check_study",
    "compare",
    "compare_losses",
    "convergence",
    "convert",
    "corrupt_dataset",
    "demo",
    "evaluate_run",
    "fit_cascade_run",
    "fit_run",
    "has_classes",
    "open_classes",
    "open_regions",
    "open_table",
    "predict_to",
    "read_truth",
    "variants",
]
