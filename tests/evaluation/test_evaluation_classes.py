"""Measures of a run on classes, from logits that are known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from class_data import class_annotations
from steadfit.data import Annotations
from steadfit.evaluation.classes import accuracy, by_split, confusion, hardest_images, prediction_table, scores
from steadfit.outputs import Classes
from steadfit.training import Judgement

NAMES = ("red", "green", "blue")


@pytest.fixture
def classes() -> Annotations:
    """54 train, 18 val, 18 test; the classes in turn."""
    return class_annotations(
        path=Path("coloured"), names=NAMES, images=tuple(f"c:{k}" for k in range(90)), label=np.arange(90) % 3,
        split=np.repeat(["train", "val", "test"], [54, 18, 18]), line=np.arange(90) + 2, size=np.full((90, 2), 8.0),
    )  # fmt: skip


def judged(logits: torch.Tensor) -> Judgement:
    nothing = np.full((len(logits), 1), np.nan)
    return Judgement(nothing[:, None], nothing, nothing > 0, np.nan, logits=logits.numpy())


@pytest.fixture
def judgement(classes: Annotations) -> Judgement:
    """Every label is found but for two of the training rows, one of which is out of every doubt."""
    logits = torch.zeros(90, 3, dtype=torch.float64)
    logits[torch.arange(90), torch.from_numpy(classes.label)] = 2.0
    logits[0] = torch.tensor([-800.0, 5.0, 0.0])  # probabilities that are 0 in float64 keep their order
    logits[3] = torch.tensor([-900.0, 5.0, 0.0])
    return judged(logits)


def test_what_a_run_says_of_every_image(classes: Annotations, judgement: Judgement) -> None:
    table = prediction_table(classes, judgement, Classes(n_classes=3))
    assert list(table) == ["row", "image", "line", "split", "label", "predicted", "probability", "loss"]
    assert table["predicted"].iloc[0] == "green"
    assert table["probability"].iloc[1] == pytest.approx(math.exp(2) / (math.exp(2) + 2))
    assert table["loss"].iloc[1] == pytest.approx(-math.log(math.exp(2) / (math.exp(2) + 2)))
    assert table["line"].tolist() == list(range(2, 92))
    worst = hardest_images(table, count=3)
    assert worst["image"].tolist()[:2] == ["c:3", "c:0"]
    assert list(worst) == ["image", "line", "label", "predicted", "probability", "loss"]
    assert len(worst) == 3


def test_probabilities_are_those_of_the_loss(classes: Annotations, judgement: Judgement) -> None:
    own = prediction_table(classes, judgement, Classes(loss="anchor", n_classes=3))
    assert own["probability"].iloc[1] == pytest.approx(1 / (1 + math.exp(-2)))


def test_scores(classes: Annotations, judgement: Judgement) -> None:
    train = classes.rows("train")
    found = scores(classes, judgement, train)
    assert found["images"] == 54
    assert found["top1"] == pytest.approx(52 / 54)
    assert found["top5"] == 1.0
    assert found["per_class"] == {"red": pytest.approx(16 / 18), "green": 1.0, "blue": 1.0}
    assert confusion(classes, judgement, train).tolist() == [[16, 2, 0], [0, 18, 0], [0, 0, 18]]
    assert by_split(classes, judgement)["train"] == found
    some = classes.take(np.arange(54))
    assert list(by_split(some, judged(torch.from_numpy(judgement.logits[:54])))) == ["train"]
    reds = train[classes.label[train] == 0]
    assert list(scores(classes, judgement, reds)["per_class"]) == ["red"]  # nothing is said of classes without images


def test_a_judgement_without_logits(classes: Annotations) -> None:
    nothing = np.full((90, 1), np.nan)
    with pytest.raises(ValueError, match="expected the judgement of a run on classes, got one without logits"):
        scores(classes, Judgement(nothing[:, None], nothing, nothing > 0, np.nan), classes.rows("test"))


def test_accuracy_against_a_loop() -> None:
    logits, target = torch.randn(200, 7), torch.randint(7, (200,))
    for top in (1, 2, 5, 7, 9):
        hits = sum(int(t) in row.argsort(descending=True)[:top].tolist() for row, t in zip(logits, target, strict=True))
        assert accuracy(logits, target, top=top) == pytest.approx(hits / 200, abs=1e-12)
    assert math.isnan(accuracy(logits[:0], target[:0]))
