"""Whole jobs, each a function that the command line calls: fit, compare, predict, evaluate, corrupt, demo."""

from steadfit.recipes.comparison import compare
from steadfit.recipes.contaminate import KINDS, corrupt_dataset
from steadfit.recipes.demo import demo
from steadfit.recipes.fitting import fit_run, open_table
from steadfit.recipes.prediction import evaluate_run, predict_to

__all__ = ["KINDS", "compare", "corrupt_dataset", "demo", "evaluate_run", "fit_run", "open_table", "predict_to"]
