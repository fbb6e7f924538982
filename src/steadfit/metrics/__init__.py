"""Measures of error, of outlier detection and of significance."""

from steadfit.metrics.detection import OutlierDetection, OutlierScores, outlier_scores
from steadfit.metrics.regression import (
    FailureRate,
    MeanAbsoluteError,
    PointError,
    RootMeanSquareError,
    per_image_error,
)
from steadfit.metrics.significance import Comparison, best_stars, compare_errors, holm, stars, wilcoxon

__all__ = [
    "Comparison",
    "FailureRate",
    "MeanAbsoluteError",
    "OutlierDetection",
    "OutlierScores",
    "PointError",
    "RootMeanSquareError",
    "best_stars",
    "compare_errors",
    "holm",
    "outlier_scores",
    "per_image_error",
    "stars",
    "wilcoxon",
]
