"""The texts of a report: the large numbers with their meaning, and the first sentences."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from steadfit.reports.comparison_tables import best_method, of_classes
from steadfit.reports.methods import marks
from steadfit.reports.pages.html import Card
from steadfit.reports.values import Results, amount, count, number, percent, short, star_text


@dataclass(frozen=True)
class Headline:
    """An entry of the metrics that becomes a card; ``{rows}`` in the text is replaced.

    Args:
        keys: the keys of the entry; the first one that has a number is taken.
        title: the name of the number.
        show: the number as text.
        meaning: one sentence.
        unit: whether the number has the unit of the errors.
    """

    keys: tuple[str, ...]
    title: str
    show: Callable[[float], str]
    meaning: str
    unit: bool = False


CARDS = (
    Headline(
        ("point_error", "mae"), "mean error", short, "Mean distance between predictions and {rows}.", unit=True
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
    Headline(("suspects",), "suspect share", percent, "Share of the labels that are suspect after training."),
    Headline(
        ("error_rate",), "estimated error rate", percent,
        "Estimated share of wrong labels; compare it with a sample that you check by hand.",
    ),
    Headline(("precision",), "precision", percent, "Share of the suspects that are truly wrong (the truth is known)."),
    Headline(("recall",), "recall", percent, "Share of the truly wrong labels that are among the suspects."),
    Headline(("gross_recall",), "gross recall", percent, "Share of the grossly wrong labels that were found."),
)  # fmt: skip

ROWS = {
    "test": "the test labels",
    "val": "the validation labels (there are no test rows; these may be wrong themselves)",
    "train": "the training labels",
}
DOUBT = "(There are no test rows: this is against the validation labels, which may be wrong themselves.)"


def cards(metrics: Mapping[str, Any], unit: str) -> list[Card]:
    """The cards for which the metrics have a number, in fixed order; for classes one per split.

    Args:
        metrics: the run's numbers.
        unit: the unit of the errors.
    """
    metrics, rows = with_share(metrics), evaluated(metrics)
    classes = [
        Card(f"top-1, {split}", percent(number(part, "top1")), f"{count(int(part['images']))} images")
        for split in ROWS
        if "top1" in (part := metrics.get(split) or {})
    ]
    found = ((headline, find(metrics, *headline.keys)) for headline in CARDS)
    return classes + [
        Card(headline.title, amount(headline.show(value), unit if headline.unit else ""),
             headline.meaning.format(rows=rows))
        for headline, value in found
        if not math.isnan(value)
    ]  # fmt: skip


def find(metrics: Mapping[str, Any], *keys: str) -> float:
    """The first of the keys that has a number: at the top, else in a group, ``test`` and ``val`` before the others."""
    nested = {name: group for name, group in metrics.items() if isinstance(group, Mapping)}
    groups = [metrics, *(nested.pop(name) for name in ROWS if name in nested), *nested.values()]
    found = (number(group, key) for group in groups for key in keys if isinstance(group.get(key), int | float))
    return next((value for value in found if not math.isnan(value)), float("nan"))


def with_share(metrics: Mapping[str, Any]) -> Mapping[str, Any]:
    """The metrics with the share of suspects at the top, where their number and that of the labels are known."""
    labels, suspects = find(metrics, "labels"), find(metrics, "suspects")
    return {**metrics, "suspects": suspects / labels} if labels > 0 else metrics


def evaluated(metrics: Mapping[str, Any]) -> str:
    """The labels on which the errors of :func:`cards` are measured, in words."""
    return next((words for name, words in ROWS.items() if metrics.get(name)), "the labels it is judged by")


def run_lead(metrics: Mapping[str, Any], unit: str) -> str:
    """The first sentences of a run's report."""
    error, share = find(metrics, *CARDS[0].keys), find(with_share(metrics), "suspects")
    parts = [_classified(metrics)]
    if not math.isnan(error):
        parts.append(f"Predictions are off by {amount(error, unit)} on average.")
        parts += [DOUBT] if "test" not in metrics and "val" in metrics else []
    alone = find(metrics.get("coarse", {}), *CARDS[0].keys)
    if not math.isnan(alone):
        parts.append(f"The first stage alone would be off by {amount(alone, unit)}.")
    if not math.isnan(share):
        parts.append(f"{percent(share)} of the training labels are suspect; the worst are listed below.")
    return " ".join(filter(None, parts)) or "The run has finished."


def _classified(metrics: Mapping[str, Any]) -> str:
    """The number of images that are classified right, of the first split that has images."""
    split = next((name for name in ROWS if "top1" in (metrics.get(name) or {})), None)
    if split is None:
        return ""
    found, classes = metrics[split], {name for one in ROWS for name in (metrics.get(one) or {}).get("per_class", ())}
    right, near = percent(number(found, "top1")), percent(number(found, "top5"))
    lead = f"{right} of the {count(int(found['images']))} {split} images are classified right; "
    return f"{lead}for {near} the label is among the first {min(5, len(classes) or 5)}."


def compare_lead(results: Results, unit: str, against: str = "the best") -> str:
    """The first sentences of a comparison: the best method, and whether the next one is really worse.

    Args:
        results: the numbers of each method.
        unit: the unit of the errors.
        against: the method to which the stars compare.
    """
    best = best_method(results)
    if best is None:
        return "No method has a mean error."
    drawn = marks(results)
    if of_classes(results):
        lead = f"{drawn[best].label} classifies the most test images right, {percent(number(results[best], 'top1'))}."
        return f"{lead} {class_verdict(results, best)}".rstrip()
    mean = {name: number(result, "mean") for name, result in results.items()}
    mean = {name: value for name, value in mean.items() if not math.isnan(value)}
    rate = number(results[best], "failure_rate")
    parts = [f"{drawn[best].label} has the lowest mean error, {amount(mean[best], unit)}"]
    parts[0] += "." if math.isnan(rate) else f" with {percent(rate)} failures."
    second = min((name for name in mean if name != best and not _oracle(name)), key=mean.__getitem__, default=None)
    if second is not None:
        worse = "significantly" if "*" in star_text(results[second]) else "but not significantly"
        parts.append(f"The next is {drawn[second].label} with {amount(mean[second], unit)}")
        parts[-1] += f", {worse} worse." if against == "the best" else "."
    if "l2" in mean and "l2" not in (best, second):
        parts.append(f"Trusting every label (L2) gives {amount(mean['l2'], unit)}.")
    if oracle := next(filter(_oracle, mean), None):
        parts.append(f"Knowing the wrong labels and leaving them out (oracle) gives {amount(mean[oracle], unit)}.")
    return " ".join(parts)


def _oracle(name: str) -> bool:
    """Whether a method knows the wrong labels."""
    return name.startswith("oracle")


def class_verdict(results: Results, best: str) -> str:
    """Whether the best loss is better than each of the others beyond chance."""
    others = [number(found, "p_holm") for name, found in results.items() if name != best]
    if not others or any(map(math.isnan, others)):
        return ""
    unclear = sum(p >= 0.05 for p in others)
    if not unclear:
        return "On these images it is better than every other loss beyond chance."
    return f"{unclear} of the {len(others)} others cannot be distinguished from it on these images."
