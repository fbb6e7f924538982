"""Errors with missing targets, against slow twins; halves merge to the whole."""

from __future__ import annotations

import math
import pickle
from functools import partial

import pytest
import torch
from torchmetrics import MetricCollection

from steadfit.metrics import Measure, absolute_error, failure, per_image_error, point_error, square_error

NAN = float("nan")


@pytest.fixture(autouse=True)
def _double():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def data(n=23, k=4, d=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    prediction, target = torch.randn(2, n, k, d, generator=generator, dtype=torch.float64)
    target[torch.rand(n, k, generator=generator) < 0.3] = NAN
    target[0, 0, 0], target[0, 0, 1] = NAN, 1.0  # half missing
    target[1] = NAN
    return prediction, target


def points(prediction, target):
    """Slow twin: (image, point, Euclidean error) of the annotated points."""
    for n, (f, y) in enumerate(zip(prediction.tolist(), target.tolist(), strict=True)):
        for k in range(len(y)):
            if not any(math.isnan(v) for v in y[k]):
                yield n, k, math.dist(f[k], y[k])


def test_coordinate_errors_equal_a_loop():
    prediction, target = data()
    gaps = [abs(y - f) for f, y in zip(prediction.flatten().tolist(), target.flatten().tolist(), strict=True)]
    gaps = [gap for gap in gaps if not math.isnan(gap)]
    absolute, square = Measure(absolute_error), Measure(square_error, finish=torch.sqrt)
    mean = sum(gaps) / len(gaps)
    assert float(absolute(prediction, target)) == pytest.approx(mean, rel=1e-12)
    assert float(absolute_error(prediction, target).nanmean()) == pytest.approx(mean, rel=1e-12)
    expected = math.sqrt(sum(gap**2 for gap in gaps) / len(gaps))
    assert float(square(prediction, target)) == pytest.approx(expected, rel=1e-12)
    assert float(square_error(prediction, target).nanmean().sqrt()) == pytest.approx(expected, rel=1e-12)


def test_point_error_equals_a_loop_overall_and_per_point():
    prediction, target = data()
    errors = list(points(prediction, target))
    overall, per_point = Measure(point_error), Measure(point_error, columns=4)
    mean = sum(e for *_, e in errors) / len(errors)
    assert float(overall(prediction, target)) == pytest.approx(mean, rel=1e-12)
    columns = point_error(prediction, target).nanmean(0).tolist()
    for k, value in enumerate(per_point(prediction, target).tolist()):
        mine = [e for _, point, e in errors if point == k]
        assert value == pytest.approx(sum(mine) / len(mine), rel=1e-12)
        assert columns[k] == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("threshold", [0.05, 0.5])
def test_failure_rate_equals_a_loop_with_one_length_and_one_per_image(threshold):
    prediction, target = data()
    length = torch.linspace(1, 5, 23)
    errors = list(points(prediction, target))
    each, one = (Measure(partial(failure, threshold=threshold)) for _ in range(2))
    expected = sum(e > threshold * float(length[n]) for n, _, e in errors) / len(errors)
    assert float(each(prediction, target, length)) == pytest.approx(expected, abs=1e-12)
    expected = sum(e > threshold * 3.0 for *_, e in errors) / len(errors)
    assert float(one(prediction, target, 3.0)) == pytest.approx(expected, abs=1e-12)


def test_per_image_error_equals_a_loop_and_is_nan_without_labels():
    prediction, target = data()
    result, errors = per_image_error(prediction, target), list(points(prediction, target))
    for n, value in enumerate(result.tolist()):
        mine = [e for image, _, e in errors if image == n]
        assert value == pytest.approx(sum(mine) / len(mine), rel=1e-12) if mine else math.isnan(value)
    assert result[1].isnan()
    assert result.dtype == torch.float64
    assert per_image_error(prediction.float(), target.float()).dtype == torch.float32


@pytest.mark.parametrize("failed", [math.nan, math.inf, -math.inf])
def test_a_failed_prediction_has_an_infinite_error(failed):
    prediction, target = torch.zeros(3, 2, 2), torch.ones(3, 2, 2)
    prediction[0, 1, 0] = failed  # an annotated point
    prediction[1, 0, 1], target[1, 0, 0] = failed, math.nan  # a point that nobody annotated
    target[2] = math.nan
    found = per_image_error(prediction, target)
    assert found[0] == math.inf
    assert float(found[1]) == pytest.approx(math.sqrt(2))
    assert found[2].isnan()


CASES = [
    (absolute_error, {}, ()),
    (absolute_error, {"columns": 2}, ()),
    (square_error, {"finish": torch.sqrt}, ()),
    (point_error, {}, ()),
    (point_error, {"columns": 4}, ()),
    (partial(failure, threshold=0.3), {}, (2.0,)),
]


@pytest.mark.parametrize(("formula", "options", "extra"), CASES)
def test_batches_and_merged_ranks_equal_the_whole(formula, options, extra):
    prediction, target = data()
    whole, batches, left, right = (Measure(formula, **options) for _ in range(4))
    whole.update(prediction, target, *extra)
    for rows in torch.arange(23).split(5):
        batches.update(prediction[rows], target[rows], *extra)
    left.update(prediction[:7], target[:7], *extra)
    right.update(prediction[7:], target[7:], *extra)
    left.merge_state(right)
    torch.testing.assert_close(batches.compute(), whole.compute(), rtol=1e-12, atol=0)
    torch.testing.assert_close(left.compute(), whole.compute(), rtol=1e-12, atol=0)
    whole.reset()
    whole.update(prediction[:3], target[:3], *extra)
    assert whole.compute().shape == batches.compute().shape


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
@pytest.mark.parametrize(("formula", "options", "extra"), CASES)
def test_nothing_annotated_is_nan(formula, options, extra):
    metric = Measure(formula, **options)
    assert metric.compute().isnan().all()
    metric = Measure(formula, **options)
    metric.update(torch.zeros(2, 4, 2), torch.full((2, 4, 2), NAN), *extra)
    assert metric.compute().isnan().all()


def test_a_nan_prediction_is_never_hidden():
    """One rule for all measures: annotated and not predicted is infinitely wrong, not annotated is NaN."""
    prediction, target = torch.full((1, 1, 2), NAN), torch.zeros(1, 1, 2)
    missing = torch.full((1, 1, 2), NAN)
    assert float(Measure(failure)(prediction, target, 1.0)) == 1.0
    assert Measure(failure)(prediction, missing, 1.0).isnan()
    for formula in (absolute_error, square_error, point_error):
        assert float(Measure(formula)(prediction, target)) == math.inf
        assert formula(prediction, target).min() == math.inf
        assert formula(prediction, missing).isnan().all()
    half = torch.tensor([[[NAN, 1.0]]])  # one coordinate predicted: the point is not
    assert absolute_error(half, target).tolist() == [[[math.inf, 1.0]]]
    assert point_error(half, target).tolist() == [[math.inf]]
    two = torch.tensor([[[0.0, 0.0], [NAN, 0.0]]])
    assert per_image_error(two, torch.zeros(1, 2, 2)).tolist() == [math.inf]  # failed, not left out
    assert per_image_error(two, torch.tensor([[[3.0, 4.0], [NAN, NAN]]])).tolist() == [5.0]


def test_a_collection_counts_every_measure_for_itself():
    """Both thresholds are passed by all points of the first batch and by different ones of the second."""
    formulas = {name: Measure(partial(failure, threshold=alpha)) for name, alpha in (("near", 0.2), ("far", 0.5))}
    metrics = MetricCollection(formulas, compute_groups=False)
    target = torch.zeros(2, 3, 2)
    metrics.update(target, target, 1.0)
    metrics.update(target + 0.25, target, 1.0)  # .354 away
    assert {name: float(value) for name, value in metrics.compute().items()} == {"near": 0.5, "far": 0.0}


def test_arguments_by_name_and_any_formula():
    metric = Measure(lambda prediction, target: prediction > target)  # flags have no NaN: all count
    metric.update(prediction=torch.tensor([1.0, 2.0, 3.0]), target=torch.tensor([2.0, 1.0, 0.0]))
    assert float(metric.compute()) == pytest.approx(2 / 3)
    assert pickle.loads(pickle.dumps(Measure(partial(failure, threshold=0.1)))).formula.keywords == {"threshold": 0.1}


def test_half_precision_predictions_are_summed_in_the_default_dtype():
    metric = Measure(absolute_error)
    metric.update(torch.zeros(2, 1, 1, dtype=torch.bfloat16), torch.ones(2, 1, 1, dtype=torch.bfloat16))
    assert metric.compute().dtype == torch.float64
    assert float(metric.compute()) == 1.0


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: point_error(torch.zeros(1, 2, 2), torch.zeros(1, 3, 2)), ValueError, "of one shape"),
        (lambda: point_error(torch.zeros(2, 2), torch.zeros(2, 2)), ValueError, r"\(N, K, D\), got \(2, 2\)"),
        (lambda: point_error([1.0], torch.zeros(1, 1, 1)), TypeError, "prediction to be a tensor, got list"),
        (
            lambda: absolute_error(torch.zeros(1, 1, 1), torch.full((1, 1, 1), math.inf)),
            ValueError,
            "got 1 infinite values, the first at",
        ),
        (lambda: Measure(point_error, columns=0), ValueError, "Measure of point_error: expected columns >= 1, got 0"),
        (
            lambda: Measure(partial(point_error), columns=3).update(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2)),
            ValueError,
            r"Measure of point_error: expected 3 columns, got shape \(1, 2\). Set columns.",
        ),
        (
            lambda: failure(torch.zeros(1, 1, 2), torch.zeros(1, 1, 2), 1.0, threshold=0.0),
            ValueError,
            "threshold > 0 and finite, got 0.0",
        ),
        (
            lambda: failure(torch.zeros(2, 1, 2), torch.zeros(2, 1, 2), torch.ones(3)),
            ValueError,
            r"a number or \(2,\), got shape \(3,\)",
        ),
        (
            lambda: failure(torch.zeros(2, 1, 2), torch.zeros(2, 1, 2), torch.tensor([1.0, -4.0])),
            ValueError,
            "got 1 of 2 that are not, the first -4.0",
        ),
    ],
)
def test_wrong_arguments_are_named(call, error, text):
    with pytest.raises(error, match=text):
        call()
