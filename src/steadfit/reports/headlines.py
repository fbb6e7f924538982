"""What the report says in words: the large numbers, one sentence about each, and a caption for each figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from steadfit.reports.methods import marks
from steadfit.reports.tables import Results, best_method
from steadfit.reports.values import behind, count, number, percent, seconds, short, star_text


@dataclass(frozen=True)
class Card:
    """One large number with its meaning."""

    title: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Headline:
    """Which entry of the metrics becomes a card, and how; ``{rows}`` in the text is replaced."""

    keys: tuple[str, ...]
    title: str
    show: Callable[[float], str]
    meaning: str
    unit: bool = False


CARDS = (
    Headline(
        ("point_error", "mean_error", "error", "mean", "mae"), "mean error", short,
        "Mean distance between predictions and {rows}.",
        unit=True,
    ),
    Headline(
        ("failure_rate",), "failure rate", percent,
        "Share of {rows} whose error is above the threshold, 5\N{NO-BREAK SPACE}% of the normalising length.",
    ),
    Headline(("pck",), "PCK@.2", percent, "Share of {rows} within .2 of the normalising length."),
    Headline(
        ("pcp",), "strict PCP@.5", percent,
        "Share of the body's parts, judged by {rows}, with both ends within half of the part's length.",
    ),
    Headline(("suspects_count", "n_suspects"), "suspect labels", lambda v: count(int(v)), "Labels to look at again."),
    Headline(
        ("suspects", "suspect_share"), "suspect share", percent, "Share of the labels that training came to distrust."
    ),
    Headline(
        ("error_rate",), "estimated error rate", percent,
        "Estimated share of wrong labels; compare it with a sample that you check by hand.",
    ),
    Headline(("precision",), "precision", percent, "Of the suspects, so many are truly wrong (the truth is known)."),
    Headline(("recall",), "recall", percent, "Of the truly wrong labels, so many are among the suspects."),
    Headline(("gross_recall",), "gross recall", percent, "Of the labels that are wrong by a lot, so many were found."),
    Headline(("seconds", "time"), "time", seconds, "Training time."),
)  # fmt: skip

ROWS = {
    "test": "the test labels",
    "val": "the validation labels (there are no test rows; these may be wrong themselves)",
    "train": "the training labels",
}
DOUBT = "(There are no test rows: this is against the validation labels, which may be wrong themselves.)"

CAPTIONS = {
    "training_curves": "Median error on the validation labels after every epoch, and below it the share of these "
    "labels that are suspect. The shaded epochs are the warm-up, in which no label is distrusted yet.",
    "failure_bars": "Failure rate (of the test labels) and mean error (of the test images), with 95 % intervals.",
    "suspects_gallery": "One suspect per image: where the annotation is (red cross; an arrow where it is far outside) "
    "and where the network puts the point (green ring). If the ring is right, the annotation is wrong.",
    "error_cdf": "Share of test images whose error is below the value on the axis; higher and further left is better.",
    "trust_histogram": "Distance between annotation and prediction for every label, on a logarithmic axis. Wrong "
    "labels that lie among the right ones cannot be told from them.",
    "crops": "The first stage's points and the crops that they place, and what the second stage finds in each.",
    "poses": "Annotations and predictions on a few images; left and right have two colours. Ringed in red: points "
    "farther from their annotation than .2 of the normalising length.",
    "pck_joints": "Share of test points within .2 of the normalising length, left and right together.",
    "pck_curves": "Share of test points within the threshold on the axis; higher and further left is better.",
    "pck_epochs": "Share of validation points within .2 of the normalising length after every epoch.",
    "pcp_parts": "Share of parts both of whose ends are within half of the part's own length, left and right together.",
    "pcp_curves": "Share of parts within the threshold on the axis. Solid: both ends have to be (strict); dotted: the "
    "mean of their errors (loose).",
    "confusions": "Points that lie at their partner's annotation; heatmaps with several peaks, and how many of them "
    "are right all the same.",
    "excess": "One joint of each image. Red: the network finds the joint there more probable than in its own place, so "
    "that anchor loss weighs the pixel more than cross entropy does.",
    "contamination": "Failure rate, and precision and recall of the suspects, against the share of wrong labels. Bands "
    "reach from the lowest to the highest seed.",
}


def cards(metrics: Mapping[str, Any], unit: str) -> list[Card]:
    """The cards for which the metrics have a number, in fixed order."""
    metrics, rows = with_share(metrics), evaluated(metrics)
    found = ((headline, find(metrics, *headline.keys)) for headline in CARDS)
    return [
        Card(headline.title, f"{headline.show(value)}{behind(unit)}" if headline.unit else headline.show(value),
             headline.meaning.format(rows=rows))
        for headline, value in found
        if not math.isnan(value)
    ]  # fmt: skip


def find(metrics: Mapping[str, Any], *keys: str) -> float:
    """The first of the keys that has a number: at the top, else in a group, ``test`` and ``val`` before the others."""
    nested = {name: group for name, group in metrics.items() if isinstance(group, Mapping)}
    order = {name: place for place, name in enumerate(ROWS)}
    groups = [metrics, *(nested[name] for name in sorted(nested, key=lambda name: order.get(name, len(order))))]
    for group in groups:
        for key in keys:
            if isinstance(group.get(key), int | float) and not math.isnan(number(group, key)):
                return number(group, key)
    return float("nan")


def with_share(metrics: Mapping[str, Any]) -> Mapping[str, Any]:
    """The metrics with the share of suspects at the top, where their number and that of the labels are given."""
    labels, suspects = find(metrics, "labels"), find(metrics, "suspects")
    return {**metrics, "suspects": suspects / labels} if labels > 0 else metrics


def evaluated(metrics: Mapping[str, Any]) -> str:
    """The labels that the errors of :func:`cards` are measured by."""
    return next((words for name, words in ROWS.items() if metrics.get(name)), "the labels it is judged by")


def run_lead(metrics: Mapping[str, Any], unit: str) -> str:
    """The report's first sentence."""
    error, share = find(metrics, *CARDS[0].keys), find(with_share(metrics), "suspects", "suspect_share")
    parts = []
    if not math.isnan(error):
        parts.append(f"Predictions are off by {short(error)}{behind(unit)} on average.")
        parts += [DOUBT] if "test" not in metrics and "val" in metrics else []
    alone = find(metrics.get("coarse", {}), *CARDS[0].keys)
    if not math.isnan(alone):
        parts.append(f"The first stage alone would be off by {short(alone)}{behind(unit)}.")
    if not math.isnan(share):
        parts.append(f"{percent(share)} of the training labels are suspect; the worst are listed below.")
    return " ".join(parts) or "The run has finished."


def compare_lead(results: Results, unit: str, against: str = "the best") -> str:
    """The comparison's first sentence: the best method, and whether the next one is really worse."""
    best = best_method(results)
    if best is None:
        return "No method has a mean error."
    drawn, mean = marks(results), {name: number(result, "mean") for name, result in results.items()}
    lead = f"{drawn[best].label} has the lowest mean error, {short(mean[best])}{behind(unit)}"
    rate = number(results[best], "failure_rate")
    lead += f" with {percent(rate)} failures." if not math.isnan(rate) else "."
    rest = [name for name in results if name != best and not name.startswith("oracle") and not math.isnan(mean[name])]
    if rest:
        second = min(rest, key=mean.__getitem__)
        lead += f" The next is {drawn[second].label} with {short(mean[second])}{behind(unit)}"
        worse = "significantly" if "*" in star_text(results[second]) else "but not significantly"
        lead += f", {worse} worse." if against == "the best" else "."
    if "l2" in rest and second != "l2":
        lead += f" Trusting every label (L2) gives {short(mean['l2'])}{behind(unit)}."
    oracles = [name for name in results if name.startswith("oracle") and not math.isnan(mean[name])]
    if oracles:
        lead += (
            f" Knowing the wrong labels and leaving them out (oracle) gives {short(mean[oracles[0]])}{behind(unit)}."
        )
    return lead
