"""Whole jobs, each a function of the command line: fit, compare, predict, evaluate, calibrate, corrupt, demo."""

from steadfit.recipes.calibration import calibrate_run
from steadfit.recipes.comparison import check_methods, compare
from steadfit.recipes.contaminate import KINDS, corrupt_dataset
from steadfit.recipes.demo import demo
from steadfit.recipes.fitting import check_start, fit_run, open_table, read_truth
from steadfit.recipes.prediction import evaluate_run, predict_to

__all__ = [
    "KINDS",
    "calibrate_run",
    "check_methods",
    "check_start",
    "compare",
    "corrupt_dataset",
    "demo",
    "evaluate_run",
    "fit_run",
    "open_table",
    "predict_to",
    "read_truth",
]
