"""Measures of error, of predicted covariances, of outlier detection and of significance."""

from steadfit.metrics.accuracy import AccuracyComparison, compare_accuracy, sign_flip, top_k
from steadfit.metrics.calibration import (
    Calibration,
    Coverage,
    Pit,
    Reliability,
    calibration,
    coverage,
    pit,
    reliability,
)
from steadfit.metrics.conformal import ConformalRadius
from steadfit.metrics.confusions import double_counts, swaps
from steadfit.metrics.detection import OutlierScores, outlier_scores
from steadfit.metrics.elliptical import expected_error, mahalanobis
from steadfit.metrics.keypoints import (
    failure,
    head_length,
    normalised_error,
    pck,
    pck_area,
    pck_curve,
    torso_length,
)
from steadfit.metrics.label_posterior import RightLabels, right_labels
from steadfit.metrics.measure import Measure
from steadfit.metrics.parts import (
    Part,
    body_joints,
    body_limbs,
    body_pairs,
    body_parts,
    part_errors,
    pcp,
    pcp_curve,
)
from steadfit.metrics.regression import absolute_error, per_image_error, point_error, square_error
from steadfit.metrics.scores import energy_score, negative_log_likelihood
from steadfit.metrics.significance import Comparison, best_stars, compare_errors, holm, stars, wilcoxon
from steadfit.metrics.summary import calibration_table
from steadfit.metrics.temperature import Temperature, fit_temperature

__all__ = [
    "AccuracyComparison",
    "Calibration",
    "Comparison",
    "ConformalRadius",
    "Coverage",
    "Measure",
    "OutlierScores",
    "Part",
    "Pit",
    "Reliability",
    "RightLabels",
    "Temperature",
    "absolute_error",
    "best_stars",
    "body_joints",
    "body_limbs",
    "body_pairs",
    "body_parts",
    "calibration",
    "calibration_table",
    "compare_accuracy",
    "compare_errors",
    "coverage",
    "double_counts",
    "energy_score",
    "expected_error",
    "failure",
    "fit_temperature",
    "head_length",
    "holm",
    "mahalanobis",
    "negative_log_likelihood",
    "normalised_error",
    "outlier_scores",
    "part_errors",
    "pck",
    "pck_area",
    "pck_curve",
    "pcp",
    "pcp_curve",
    "per_image_error",
    "pit",
    "point_error",
    "reliability",
    "right_labels",
    "sign_flip",
    "square_error",
    "stars",
    "swaps",
    "top_k",
    "torso_length",
    "wilcoxon",
]
