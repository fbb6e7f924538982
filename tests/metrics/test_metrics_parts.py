"""PCP against a slow twin and in closed form; the parts of a body by any spelling; what is missing stays out."""

from __future__ import annotations

import dataclasses
import math
from functools import partial

import pytest
import torch

from steadfit.metrics import Measure, Part, body_limbs, body_pairs, body_parts, part_errors, pcp, pcp_curve

NAN = float("nan")
LSP = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist", "right_elbow",
    "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top",
)  # fmt: skip
NUMBERS = tuple(str(k) for k in range(14))
BODY = body_parts(LSP)
ARM = (Part("arm", (0,), (1,)),)


@pytest.fixture(autouse=True)
def _double():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def data(n=40, seed=0):
    """Bodies of spread 1 predicted to about .4, with missing joints, a part of no length, joints not predicted."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randn(n, 14, 2, generator=generator)
    prediction = target + 0.4 * torch.randn(n, 14, 2, generator=generator)
    target[torch.rand(n, 14, generator=generator) < 0.1] = NAN
    target[0] = torch.arange(28.0).reshape(14, 2)
    prediction[0] = target[0]
    target[0, 9, 0] = NAN  # half a shoulder: no torso, no left upper arm
    target[1, 0] = target[1, 1] = 0.5  # a shin of no length
    target[2], prediction[2, 13] = target[0].nan_to_num(1.0), NAN  # annotated, not predicted
    target[3] = NAN
    return prediction, target


def judged(prediction, target, parts, strict):
    """Slow twin in plain Python: (image, part) to the error in parts of the part's length, of what is judged."""
    found = {}
    for n, (f, y) in enumerate(zip(prediction.tolist(), target.tolist(), strict=True)):
        for p, part in enumerate(parts):
            a, b = (middle([y[k] for k in end]) for end in (part.start, part.end))
            if math.isnan(sum(a) + sum(b)) or a == b:
                continue
            errors = [math.dist(middle([f[k] for k in end]), true) for end, true in ((part.start, a), (part.end, b))]
            errors = [math.inf if math.isnan(error) else error for error in errors]
            found[n, p] = (max(errors) if strict else sum(errors) / 2) / math.dist(a, b)
    return found


def middle(points):
    return [sum(values) / len(points) for values in zip(*points, strict=True)]


def share(values):
    values = list(values)
    return sum(values) / len(values) if values else NAN


@pytest.mark.parametrize("strict", [True, False])
def test_errors_equal_a_loop(strict):
    prediction, target = data()
    error = part_errors(prediction, target, BODY, strict=strict)
    expected = torch.full((40, 10), NAN)
    for (n, p), e in judged(prediction, target, BODY, strict).items():
        expected[n, p] = e
    torch.testing.assert_close(error, expected, rtol=1e-12, atol=0, equal_nan=True)
    assert error[0].isnan().tolist() == [part.name in ("torso", "left_upper_arm") for part in BODY]
    assert error[1, [part.name for part in BODY].index("right_shin")].isnan()
    assert error[2, 0] == math.inf
    assert error[3].isnan().all()


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("alpha", [0.2, 0.5])
def test_pcp_equals_a_loop_overall_and_by_part(alpha, strict):
    prediction, target = data()
    errors = judged(prediction, target, BODY, strict)
    formula = partial(pcp, parts=BODY, alpha=alpha, strict=strict)
    overall, each = Measure(formula), Measure(formula, columns=10)
    right = share(e <= alpha for e in errors.values())
    assert 0.1 < right < 0.9
    assert float(overall(prediction, target)) == pytest.approx(right, abs=1e-12)
    for p, value in enumerate(each(prediction, target).tolist()):
        assert value == pytest.approx(share(e <= alpha for (_, part), e in errors.items() if part == p), abs=1e-12)


def test_closed_form():
    """Ends off by .3 and .7 of the length: neither counts strictly, their mean of exactly .5 counts loosely."""
    target = torch.tensor([[[0.0, 0.0], [0.0, 10.0]]])
    prediction = target + torch.tensor([[3.0, 0.0], [0.0, 7.0]])
    for strict, error in ((True, 0.7), (False, 0.5)):
        assert part_errors(prediction, target, ARM, strict=strict).item() == pytest.approx(error, rel=1e-15)
        assert float(pcp(prediction, target, ARM, strict=strict)) == (not strict)
        assert float(pcp(prediction, target, ARM, alpha=0.7, strict=strict)) == 1.0


def test_a_middle_is_judged_and_not_its_points():
    """Both shoulders off by the same in opposite directions leave the torso's upper end where it is."""
    target = torch.randn(1, 14, 2, generator=torch.Generator().manual_seed(1))
    prediction, torso = target.clone(), BODY[1:2]
    prediction[0, 8], prediction[0, 9] = target[0, 8] + 100, target[0, 9] - 100
    assert float(pcp(prediction, target, torso)) == 1.0
    prediction[0, 2] += (
        2 * (0.5 + 1e-9) * (target[0, 8:10].mean(0) - target[0, 2:4].mean(0))
    )  # moves the middle by half
    assert float(pcp(prediction, target, torso)) == 0.0
    assert part_errors(prediction, target, torso).item() == pytest.approx(0.5, abs=1e-8)


def test_a_ratio_that_is_alpha_is_right_in_both_precisions():
    for dtype in (torch.float32, torch.float64):
        target = torch.tensor([[[0.0, 0.0], [100.0, 0.0]]], dtype=dtype)
        prediction = target + torch.tensor([29.0, 0.0], dtype=dtype)  # .29 * 100 rounds to less than 29
        assert float(pcp(prediction, target, ARM, alpha=0.29)) == 1.0
        assert part_errors(prediction, target, ARM).dtype == dtype
        for k in range(50):  # k/49 + (49 - k)/49 rounds to more than 1 for some k
            apart = torch.tensor([[[0.0, k], [49.0, 49 - k]]], dtype=dtype)
            true = torch.tensor([[[0.0, 0.0], [49.0, 0.0]]], dtype=dtype)
            assert float(pcp(apart, true, ARM, strict=False)) == 1.0


def test_strict_is_never_above_loose():
    prediction, target = data(200)
    strict, loose = (part_errors(prediction, target, BODY, strict=kind) for kind in (True, False))
    known = ~strict.isnan()
    assert torch.equal(known, ~loose.isnan())
    assert (loose[known] <= strict[known]).all()
    assert (strict[known] <= 2 * loose[known] * (1 + 1e-15)).all()


@pytest.mark.parametrize("strict", [True, False])
def test_curve_equals_pcp_at_every_threshold(strict):
    prediction, target = data()
    alphas = [0.0, 0.1, 0.25, 0.5, 0.8, 1.0]
    together = pcp_curve(prediction, target, BODY, alphas, strict=strict)
    each = pcp_curve(prediction, target, BODY, torch.tensor(alphas), strict=strict, per_part=True)
    assert each.shape == (6, 10)
    assert (together.diff() >= 0).all()
    assert together[0] > 0  # row 0 is predicted exactly
    for i, alpha in enumerate(alphas[1:], 1):
        right = pcp(prediction, target, BODY, alpha=alpha, strict=strict)
        assert float(together[i]) == pytest.approx(float(right.nanmean()), abs=1e-12)
        torch.testing.assert_close(each[i], right.nanmean(0), rtol=1e-12, atol=0)


@pytest.mark.parametrize("strict", [True, False])
def test_moving_scaling_and_turning_the_picture_changes_nothing(strict):
    prediction, target = data()
    before = part_errors(prediction, target, BODY, strict=strict)
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    after = part_errors(8 * prediction @ turn.T + 100, 8 * target @ turn.T + 100, BODY, strict=strict)
    torch.testing.assert_close(after, before, rtol=1e-10, atol=1e-12, equal_nan=True)  # the shift costs digits


def test_turning_parts_round_changes_nothing():
    prediction, target = data()
    turned = [dataclasses.replace(part, start=part.end, end=part.start) for part in BODY]
    torch.testing.assert_close(
        part_errors(prediction, target, turned), part_errors(prediction, target, BODY), rtol=0, atol=0, equal_nan=True
    )


def test_points_in_space():
    target = torch.tensor([[[0.0, 0.0, 0.0], [2.0, 3.0, 6.0]]])  # of length 7
    assert part_errors(target + torch.tensor([1.0, 2.0, 2.0]), target, ARM).item() == pytest.approx(3 / 7)


def test_exchanged_sides_are_wrong():
    target = torch.zeros(1, 14, 2)
    target[0, :, 1] = torch.tensor([0, 4, 8, 8, 4, 0, 8, 11, 14, 14, 11, 8, 15, 18.0])
    target[0, [0, 1, 2, 6, 7, 8], 0], target[0, [3, 4, 5, 9, 10, 11], 0] = -3.0, 3.0
    other = target.clone()
    for right, left in body_pairs(LSP):
        other[:, [right, left]] = target[:, [left, right]]
    each = pcp(other, target, BODY).nanmean(0)
    assert {part.name for part, value in zip(BODY, each, strict=True) if value} == {"head", "torso"}


def test_the_ten_parts():
    assert {part.name: (part.start, part.end) for part in BODY} == {
        "head": ((13,), (12,)), "torso": ((8, 9), (2, 3)), "right_upper_arm": ((8,), (7,)),
        "left_upper_arm": ((9,), (10,)), "right_forearm": ((7,), (6,)), "left_forearm": ((10,), (11,)),
        "right_thigh": ((2,), (1,)), "left_thigh": ((3,), (4,)), "right_shin": ((1,), (0,)), "left_shin": ((4,), (5,)),
    }  # fmt: skip
    assert body_pairs(LSP) == ((0, 5), (1, 4), (2, 3), (6, 11), (7, 10), (8, 9))
    limbs = {frozenset(limb) for limb in body_limbs(LSP)}
    assert len(limbs) == 14
    sticks = [part for part in BODY if len(part.start) == 1]
    assert limbs - {frozenset(part.start + part.end) for part in sticks} == {
        frozenset(limb) for limb in ((8, 2), (9, 3), (8, 12), (9, 12), (2, 3))
    }


@pytest.mark.parametrize(
    "spell",
    [
        lambda name: name,
        lambda name: name.replace("right_", "r_").replace("left_", "l_"),
        lambda name: name.replace("right_", "R ").replace("left_", "L ").replace("_", " "),
        lambda name: name.replace("_", "-").upper(),
        lambda name: "".join(word.capitalize() for word in name.split("_")),
        lambda name: "_".join(name.split("_")[::-1]),  # ankle_right, top_head
        lambda name: "".join(word[0] if word in ("left", "right") else word for word in name.split("_")),  # rankle
        lambda name: {"neck": "upper_neck", "head_top": "top of head"}.get(name, name),
    ],
)
def test_spellings(spell):
    assert body_parts([spell(name) for name in LSP]) == BODY


def test_other_orders_and_further_points():
    names = ["nose", *LSP[::-1], "pelvis"]
    for part, own in zip(BODY, body_parts(names), strict=True):
        for end, there in ((part.start, own.start), (part.end, own.end)):
            assert [LSP[k] for k in end] == [names[k] for k in there]


@pytest.mark.parametrize(
    "names",
    [
        (), LSP[:-1], NUMBERS[:13], (*NUMBERS, "14"), ("left_eye", "right_eye"),
        [name.replace("right_", "").replace("left_", "") for name in LSP], [f"left_{name}" for name in LSP],
        (*LSP[:-1], "head"),
    ],
)  # fmt: skip
def test_what_is_no_body_has_no_parts(names):
    assert body_parts(names) == body_limbs(names) == body_pairs(names) == ()


def test_points_without_names_are_in_the_order_of_lsp():
    assert body_parts(NUMBERS) == BODY
    assert body_parts(NUMBERS[::-1]) == ()


def measure(strict, per_part):
    return Measure(partial(pcp, parts=BODY, strict=strict), columns=10 if per_part else None)


CASES = [(strict, per_part) for strict in (True, False) for per_part in (True, False)]


@pytest.mark.parametrize(("strict", "per_part"), CASES)
def test_batches_and_merged_ranks_equal_the_whole(strict, per_part):
    prediction, target = data()
    whole, batches, left, right = (measure(strict, per_part) for _ in range(4))
    whole.update(prediction, target)
    for rows in torch.arange(40).split(7):
        batches.update(prediction[rows], target[rows])
    left.update(prediction[:11], target[:11])
    right.update(prediction[11:], target[11:])
    left.merge_state(right)
    assert whole.compute().shape == ((10,) if per_part else ())
    torch.testing.assert_close(batches.compute(), whole.compute(), rtol=1e-12, atol=0)
    torch.testing.assert_close(left.compute(), whole.compute(), rtol=1e-12, atol=0)


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
@pytest.mark.parametrize(("strict", "per_part"), CASES)
def test_nothing_judged_is_nan(strict, per_part):
    assert measure(strict, per_part).compute().isnan().all()
    for target in (torch.full((2, 14, 2), NAN), torch.zeros(2, 14, 2), torch.zeros(0, 14, 2)):  # zeros have no length
        assert measure(strict, per_part)(torch.zeros_like(target), target).isnan().all()
        assert pcp_curve(torch.zeros_like(target), target, BODY, [0.5], strict=strict).isnan().all()


def test_extreme_values_are_never_nan_unless_left_out():
    target = torch.tensor([[[0.0, 0.0], [1.0, 0.0]]])
    for dtype, big in ((torch.float32, 1e30), (torch.float64, 1e300)):
        one = target.to(dtype)
        for wild in (one + big, one - big, one + math.inf, one * NAN, one + torch.tensor([math.inf, NAN], dtype=dtype)):
            assert part_errors(wild, one, ARM).item() == math.inf
            assert float(pcp(wild, one, ARM)) == 0.0
        assert part_errors(one, one * big, ARM).isnan().all()  # its length overflows: left out
        assert part_errors(one * big, one * 0, ARM).isnan().all()


def test_nothing_is_kept_for_the_backward_pass():
    prediction, target = data()
    assert not part_errors(prediction.requires_grad_(), target.requires_grad_(), BODY).requires_grad


ONE, TWO = torch.zeros(1, 2, 2), torch.zeros(2, 2, 2)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: Part("x", (), (1,)), ValueError, r"Part: expected each end of 'x' to be points >= 0, got \(\)"),
        (lambda: Part("x", (0,), (1, -1)), ValueError, r"points >= 0, got \(1, -1\)"),
        (lambda: Part("x", (1, 0), (0, 1)), ValueError, r"'x' between two different ends, got \(1, 0\) twice"),
        (lambda: pcp(ONE, ONE, ARM, alpha=0.0), ValueError, r"pcp: expected alpha > 0 and finite, got 0.0"),
        (lambda: pcp(ONE, ONE, ARM, alpha="a"), TypeError, "pcp: expected alpha to be a number, got str"),
        (lambda: pcp(ONE, ONE, ()), ValueError, r"pcp: expected parts of different names, got \[\]. See body_parts."),
        (lambda: pcp(ONE, ONE, ARM * 2), ValueError, r"pcp: expected parts of different names, got \['arm', 'arm'\]"),
        (
            lambda: pcp(ONE, ONE, BODY), ValueError,
            r"pcp: expected parts of points 0 to 1, got Part\(name='head', start=\(13,\), end=\(12,\)\)",
        ),
        (lambda: pcp(ONE, TWO, ARM), ValueError, "pcp: expected prediction and target of one shape"),
        (lambda: pcp(ONE[0], ONE[0], ARM), ValueError, r"pcp: expected shape \(N, K, D\), got \(2, 2\)"),
        (lambda: pcp(ONE, ONE + math.inf, ARM), ValueError, "pcp: .*got 4 infinite values, the first at"),
        (lambda: part_errors([1.0], ONE, ARM), TypeError, "part_errors: expected prediction to be a tensor, got list"),
        (lambda: part_errors(ONE, ONE, ()), ValueError, "part_errors: expected parts of different names"),
        (lambda: pcp_curve(ONE.long(), ONE, ARM, [0.5]), TypeError, "pcp_curve: expected prediction of a floating"),
        (lambda: pcp_curve(ONE, ONE, ARM, [-0.5]), ValueError, r"expected a row of finite alphas >= 0, got \[-0.5\]"),
        (lambda: pcp_curve(ONE, ONE, ARM, []), ValueError, r"expected a row of finite alphas >= 0, got \[\]"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(call, error, text):
    with pytest.raises(error, match=text):
        call()
