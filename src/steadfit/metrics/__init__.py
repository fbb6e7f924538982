"""Measures of error, of predicted covariances, of outlier detection and of significance."""

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
from steadfit.metrics.confusions import DoubleCounts, SwapRate, swapped
from steadfit.metrics.contamination import RightLabels, right_labels
from steadfit.metrics.detection import OutlierDetection, OutlierScores, outlier_scores
from steadfit.metrics.elliptical import expected_error, mahalanobis
from steadfit.metrics.keypoints import (
    PCK,
    PCKArea,
    head_length,
    normalised_error,
    pck_curve,
    torso_length,
)
from steadfit.metrics.parts import (
    PCP,
    Part,
    body_joints,
    body_limbs,
    body_pairs,
    body_parts,
    part_errors,
    pcp_curve,
)
from steadfit.metrics.regression import (
    FailureRate,
    MeanAbsoluteError,
    PointError,
    RootMeanSquareError,
    per_image_error,
)
from steadfit.metrics.scores import NegativeLogLikelihood, energy_score, negative_log_likelihood
from steadfit.metrics.significance import Comparison, best_stars, compare_errors, holm, stars, wilcoxon
from steadfit.metrics.summary import calibration_table
from steadfit.metrics.temperature import Temperature, fit_temperature

__all__ = [
    "PCK",
    "PCP",
    "Calibration",
    "Comparison",
    "ConformalRadius",
    "Coverage",
    "DoubleCounts",
    "FailureRate",
    "MeanAbsoluteError",
    "NegativeLogLikelihood",
    "OutlierDetection",
    "OutlierScores",
    "PCKArea",
    "Part",
    "Pit",
    "PointError",
    "Reliability",
    "RightLabels",
    "RootMeanSquareError",
    "SwapRate",
    "Temperature",
    "best_stars",
    "body_joints",
    "body_limbs",
    "body_pairs",
    "body_parts",
    "calibration",
    "calibration_table",
    "compare_errors",
    "coverage",
    "energy_score",
    "expected_error",
    "fit_temperature",
    "head_length",
    "holm",
    "mahalanobis",
    "negative_log_likelihood",
    "normalised_error",
    "outlier_scores",
    "part_errors",
    "pck_curve",
    "pcp_curve",
    "per_image_error",
    "pit",
    "reliability",
    "right_labels",
    "stars",
    "swapped",
    "torso_length",
    "wilcoxon",
]
