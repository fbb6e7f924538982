"""Correct parts of a body: PCP, strict and loose, and its curve.

A part is a named stick between two ends; `part_errors` is the error of a predicted stick as a part of the true one's
length, and the measures here count these.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from steadfit._checks import positive
from steadfit.metrics.keypoints import pck_curve, within
from steadfit.metrics.regression import residual

__all__ = ["Part", "body_joints", "body_limbs", "body_pairs", "body_parts", "part_errors", "pcp", "pcp_curve"]


@dataclass(frozen=True)
class Part:
    """A named stick between two ends, each a point or the mean of several.

    Args:
        name: its name, such as ``"left_thigh"``.
        start: indices of the points whose mean is one end.
        end: indices of the points whose mean is the other end.

    Raises:
        ValueError: an end without points, a negative index, or two equal ends.

    >>> Part("torso", start=(8, 9), end=(2, 3)).start
    (8, 9)
    """

    name: str
    start: tuple[int, ...]
    end: tuple[int, ...]

    def __post_init__(self) -> None:
        for end in (self.start, self.end):
            if not end or min(end) < 0:
                raise ValueError(f"Part: expected each end of {self.name!r} to be points >= 0, got {end}.")
        if sorted(self.start) == sorted(self.end):
            raise ValueError(f"Part: expected {self.name!r} between two different ends, got {self.start} twice.")


LSP = (
    "r_ankle", "r_knee", "r_hip", "l_hip", "l_knee", "l_ankle", "r_wrist", "r_elbow", "r_shoulder", "l_shoulder",
    "l_elbow", "l_wrist", "neck", "headtop",
)  # fmt: skip
"""The 14 joints of a body in the order of Leeds Sports Pose."""
BONES = {
    "upper_arm": ("shoulder", "elbow"),
    "forearm": ("elbow", "wrist"),
    "thigh": ("hip", "knee"),
    "shin": ("knee", "ankle"),
}
SIDES = {"right": "r", "left": "l"}
_SIDED = re.compile(r"(left|right|l|r)?(ankle|knee|hip|wrist|elbow|shoulder)(left|right|l|r)?")
_SYNONYMS = {"upperneck": "neck", "tophead": "headtop", "topofhead": "headtop"}


def body_joints(names: Sequence[str]) -> dict[str, int]:
    """The points that are the 14 joints of a body.

    Args:
        names: as for `body_parts`.

    Returns:
        Index by joint (``r_ankle``, ..., ``neck``, ``headtop``), in the order of LSP; empty where one is missing. Where
        two points have the name of one joint, it is the first.
    """
    unnamed = list(names) == [str(k) for k in range(len(LSP))]
    found: dict[str, int] = {}
    for k, name in enumerate(LSP if unnamed else names):
        found.setdefault(_joint(name), k)
    return {joint: found[joint] for joint in LSP} if found.keys() >= set(LSP) else {}


def body_parts(names: Sequence[str]) -> tuple[Part, ...]:
    """The ten parts of a body with 14 joints: head, torso, upper arms, forearms, thighs, shins.

    The head goes from its top to the neck, the torso from the middle of the shoulders to the middle of the hips, as in
    the evaluation of LSP and PARSE.

    Args:
        names: names of the points, such as ``right_ankle``, ``r-ankle``, ``RightAnkle`` or ``ankle_r``; ``neck`` or
            ``upper_neck``; ``head_top`` or ``top_head``. Other points may be among them. Exactly 14 points without
            names (``"0"`` to ``"13"``) are taken to be in the order of LSP.

    Returns:
        Ten parts, the right side before the left; none where one of the 14 joints is missing.

    References:
        Johnson and Everingham, BMVC 2010 (the joints).
        Pishchulin et al., Strong appearance and expressive spatial models for human pose estimation, ICCV 2013 (strict
        PCP of these ten parts on LSP).

    >>> [part.name for part in body_parts([str(k) for k in range(14)])][:4]
    ['head', 'torso', 'right_upper_arm', 'left_upper_arm']
    >>> body_parts(["left_eye", "right_eye"])
    ()
    """
    at = body_joints(names)
    if not at:
        return ()
    head = Part("head", (at["headtop"],), (at["neck"],))
    torso = Part("torso", (at["r_shoulder"], at["l_shoulder"]), (at["r_hip"], at["l_hip"]))
    limbs = (
        Part(f"{side}_{bone}", (at[f"{letter}_{upper}"],), (at[f"{letter}_{lower}"],))
        for bone, (upper, lower) in BONES.items()
        for side, letter in SIDES.items()
    )
    return (head, torso, *limbs)


def body_limbs(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Lines of a stick figure: bones, sides of the torso, hips, shoulders to neck, neck to head.

    Args:
        names: as for `body_parts`.

    Returns:
        14 pairs of points, as indices; none where one of the 14 joints is missing.

    >>> body_limbs([str(k) for k in range(14)])[-2:]
    ((2, 3), (12, 13))
    """
    at = body_joints(names)
    if not at:
        return ()
    sided = (*BONES.values(), ("shoulder", "hip"))
    lines = [(f"{letter}_{a}", f"{letter}_{b}") for a, b in sided for letter in SIDES.values()]
    lines += [("r_shoulder", "neck"), ("l_shoulder", "neck"), ("r_hip", "l_hip"), ("neck", "headtop")]
    return tuple((at[a], at[b]) for a, b in lines)


def body_pairs(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """The right and the left joint of each kind.

    Args:
        names: as for `body_parts`.

    Returns:
        6 pairs of points, as indices; none where one of the 14 joints is missing.

    >>> body_pairs([str(k) for k in range(14)])
    ((0, 5), (1, 4), (2, 3), (6, 11), (7, 10), (8, 9))
    """
    at = body_joints(names)
    return tuple((k, at[f"l{joint[1:]}"]) for joint, k in at.items() if joint.startswith("r_"))


def part_errors(prediction: Tensor, target: Tensor, parts: Sequence[Part], *, strict: bool = True) -> Tensor:
    """Errors of body parts as shares of the true part's length: what every measure here judges.

    e_np = max(||a - a'||, ||b - b'||) / ||a - b||, a and b the annotated ends, a' and b' the predicted ones; loose: the
    mean instead of the maximum.

    A foreshortened part is short in the image and demands more exact ends. This is a known bias of PCP, and a reason to
    read it together with PCK.

    Args:
        prediction: ``(N, K, D)``, in the user's units.
        target: the same shape; a point with a NaN coordinate is not annotated.
        parts: P sticks between these points.
        strict: whether the worse end counts; else the mean of both.

    Returns:
        ``(N, P)`` without unit, >= 0. NaN: not judged, as an end is not annotated or the part has no length. Infinite:
        annotated, but the prediction of an end is NaN.

    Raises:
        TypeError: tensors that are not floating.
        ValueError: different shapes, not three axes, infinite targets, no parts, two of one name, or parts of points
            that do not exist.

    Numerics:
        The error is divided by the length, so that 29 of 100 px is within .29. A part whose length overflows (float32:
        1e19) counts as one without.

    References:
        Ferrari, Marin-Jimenez and Zisserman, CVPR 2008.
        Belagiannis et al., ICCV 2015 (strict).

    >>> target = torch.tensor([[[0.0, 0.0], [10.0, 0.0]]])
    >>> arm, prediction = [Part("arm", (0,), (1,))], torch.tensor([[[3.0, 4.0], [10.0, 7.0]]])
    >>> part_errors(prediction, target, arm).item(), part_errors(prediction, target, arm, strict=False).item()
    (0.699999988079071, 0.6000000238418579)
    """
    return _errors("part_errors", prediction, target, parts, strict)


def pcp(
    prediction: Tensor, target: Tensor, parts: Sequence[Part], *, alpha: float = 0.5, strict: bool = True
) -> Tensor:
    """Parts whose ends are within a share of their length; the mean is PCP, the percentage of correct parts.

    right = [ e <= alpha ], e of `part_errors`: strict, the worse of both ends; loose, their mean.

    Strict PCP is never above loose PCP. Published numbers are of either kind, under the same name.

    Args:
        prediction: ``(N, K, D)``, in the user's units.
        target: the same shape; a point with a NaN coordinate is not annotated.
        parts: P sticks between these points, from `body_parts` or custom ones.
        alpha: a share of each stick's true length, > 0.
        strict: whether both ends have to be within it; else the mean of their errors.

    Returns:
        ``(N, P)``: 1 right, 0 wrong or not predicted, NaN not judged. ``nanmean(0)`` is one share per part.

    Raises:
        TypeError: tensors that are not floating, an alpha that is not a number.
        ValueError: as `part_errors`; an alpha not above zero.

    References:
        Ferrari, Marin-Jimenez and Zisserman, CVPR 2008.
        Pishchulin et al., ICCV 2013 (strict).
        Belagiannis et al., ICCV 2015 (strict, alpha = .5).

    >>> target, arm = torch.tensor([[[0.0, 0.0], [10.0, 0.0]]]), [Part("arm", (0,), (1,))]
    >>> prediction = torch.tensor([[[0.0, 2.0], [10.0, 6.0]]])  # ends off by .2 and .6 of the length
    >>> pcp(prediction, target, arm).item(), pcp(prediction, target, arm, strict=False).item()
    (0.0, 1.0)
    """
    return within(_errors("pcp", prediction, target, parts, strict), positive("pcp", "alpha", alpha))


def pcp_curve(
    prediction: Tensor,
    target: Tensor,
    parts: Sequence[Part],
    alphas: Sequence[float] | Tensor,
    *,
    strict: bool = True,
    per_part: bool = False,
) -> Tensor:
    """PCP over its threshold.

    Args:
        prediction: ``(N, K, D)``, in the user's units.
        target: the same shape; a point with a NaN coordinate is not annotated.
        parts: P sticks between these points.
        alphas: ``(A,)`` thresholds, >= 0, as shares of each part's length.
        strict: as in `part_errors`.
        per_part: whether there is one curve for each part.

    Returns:
        ``(A,)``, or ``(A, P)``, in [0, 1], rising with alpha; NaN where nothing was judged.

    Raises:
        TypeError: as `part_errors`.
        ValueError: as `part_errors`; alphas that are not a row of finite numbers >= 0.

    >>> target, arm = torch.tensor([[[0.0, 0.0], [10.0, 0.0]]]), [Part("arm", (0,), (1,))]
    >>> pcp_curve(target + 3.0, target, arm, [0.4, 0.5]).tolist()  # both ends are off by .42 of the length
    [0.0, 1.0]
    """
    return pck_curve(_errors("pcp_curve", prediction, target, parts, strict), alphas, per_point=per_part)


def _errors(who: str, prediction: Tensor, target: Tensor, parts: Sequence[Part], strict: bool) -> Tensor:
    """`part_errors` under the caller's name."""
    difference = residual(who, prediction, target)
    _check_parts(who, parts, difference.shape[1])
    distance = torch.linalg.vector_norm(_ends(difference, parts), dim=-1)  # (N, P, 2)
    error = distance.amax(-1) if strict else distance.mean(-1)  # (N, P)
    length = torch.linalg.vector_norm(_ends(target.detach(), parts).diff(dim=2), dim=-1).squeeze(2)
    error = torch.where(error.isnan(), torch.inf, error)  # annotated, not predicted; the others have no length
    return torch.where(length.isfinite() & (length > 0), error / length, torch.nan)


def _ends(value: Tensor, parts: Sequence[Part]) -> Tensor:
    """Both ends of every part, (N, K, D) to (N, P, 2, D); the mean of differences is the difference of means."""
    both = [[value[:, list(end)].mean(1) for end in (part.start, part.end)] for part in parts]
    return torch.stack([torch.stack(ends, 1) for ends in both], 1)


def _check_parts(who: str, parts: Sequence[Part], points: int) -> None:
    """Check that parts have different names and are between points that exist."""
    names = [part.name for part in parts]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"{who}: expected parts of different names, got {names}. See body_parts.")
    for part in parts:
        if max(*part.start, *part.end) >= points:
            raise ValueError(f"{who}: expected parts of points 0 to {points - 1}, got {part}.")


def _joint(name: str) -> str:
    """One spelling for a joint's name: ``r_ankle``, ``neck``, ``headtop``."""
    word = re.sub(r"[\W_]+", "", name.lower())
    match = _SIDED.fullmatch(word)
    if match and bool(match[1]) != bool(match[3]):
        return f"{(match[1] or match[3])[0]}_{match[2]}"
    return _SYNONYMS.get(word, word)
