"""Targets, decoding, peaks and sampling of heatmaps, against loops over pixels and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from steadfit.core.heatmaps import DECODINGS, decode, from_frame, map_heat, peaks, render, to_frame
from steadfit.data.images.maps import compose, frame_matrix, inverse, map_points, mirror_frame

pytestmark = pytest.mark.usefixtures("float64")


def rendered(point: tuple[float, float], size: tuple[int, int], sigma: float) -> list[list[float]]:
    """One target, a pixel at a time."""
    rows = []
    for i in range(size[0]):
        squares = [(j - point[0]) ** 2 + (i - point[1]) ** 2 for j in range(size[1])]
        rows.append([math.exp(-s / (2 * sigma**2)) if math.sqrt(s) <= 3 * sigma else 0.0 for s in squares])
    return rows


def inside(count: int, size: tuple[int, int], margin: float) -> Tensor:
    """Points that are at least margin px from the centres of the border's pixels; negative: outside of them."""
    room = torch.tensor([size[1] - 1 - 2 * margin, size[0] - 1 - 2 * margin])
    return margin + torch.rand(count, 2) * room


# --- render


@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.3])
def test_render_equals_the_loop_over_pixels(sigma: float) -> None:
    size = (9, 13)
    points = inside(40, size, -4.0)  # inside, at the border, outside
    expected = torch.tensor([rendered((x, y), size, sigma) for x, y in points.tolist()])
    torch.testing.assert_close(render(points, size, sigma=sigma), expected, rtol=1e-13, atol=0)


def test_targets_end_at_three_sigmas_exactly() -> None:
    line = render(torch.tensor([[3.0, 0.0]]), (1, 8))[0, 0]
    assert line[0] == pytest.approx(math.exp(-4.5), rel=1e-14), "at three sigmas a pixel belongs to the target"
    assert line[7] == 0.0
    heat = render(torch.tensor([[10.0, 10.0]]), (21, 21), sigma=2.0)[0]
    y, x = torch.meshgrid(torch.arange(21), torch.arange(21), indexing="ij")
    assert torch.equal(heat > 0, (x - 10) ** 2 + (y - 10) ** 2 <= 36), "a disc, no square"


def test_from_sigma_61_on_every_point_of_the_map_has_a_pixel_above_a_half() -> None:
    worst = torch.tensor([[2.5, 2.5], [-0.5, 4.5], [6.5, -0.5], [3.0, 3.0]])  # corners between pixels
    assert bool((render(worst, (6, 8), sigma=0.61).amax(dim=(-2, -1)) > 0.5).all())
    assert float(render(worst, (6, 8), sigma=0.60)[0].max()) < 0.5


def test_a_missing_or_distant_point_has_an_empty_map() -> None:
    nan, inf = torch.nan, torch.inf
    points = torch.tensor(
        [[nan, nan], [3.0, nan], [nan, 3.0], [inf, 3.0], [3.0, -inf], [-3.01, 2.0], [2.0, 8.01], [1e200, 0]]
    )
    assert bool((render(points, (6, 6)) == 0).all())
    near = render(torch.tensor([[-2.0, 2.0]]), (6, 6))[0]
    assert near[2, 0] == pytest.approx(math.exp(-2)), "of a point just outside the inner part is left"


def test_render_keeps_shapes_dtype_and_rows() -> None:
    points = inside(12, (5, 7), 0).view(2, 3, 2, 2)
    heat = render(points, (5, 7))
    assert heat.shape == (2, 3, 2, 5, 7)
    torch.testing.assert_close(heat[1, 2], render(points[1, 2], (5, 7)), rtol=1e-13, atol=0)  # exp of a tail
    assert render(points.float(), (5, 7)).dtype == torch.float32
    torch.testing.assert_close(render(points.float(), (5, 7)).double(), heat, rtol=2e-6, atol=0)
    assert render(torch.empty(0, 14, 2), (4, 4)).shape == (0, 14, 4, 4)
    assert bool((render(torch.tensor([[2.0, 2.0]]), (5, 5), sigma=1e-200)[0].sum() == 1).all())


def test_render_has_the_gradient_of_its_formula() -> None:
    points = torch.tensor([[2.3, 1.9], [4.1, 3.2]], requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: render(p, (6, 7), sigma=0.9), points)


# --- decode


@pytest.mark.parametrize("sigma", [0.61, 0.65, 0.71, 0.8, 0.9, 0.97, 1.0, 1.1])
@pytest.mark.parametrize("x", [(-0.5, 0.5), (0.5, 1.5), (10.5, 11.5)])
@pytest.mark.parametrize("y", [(-0.5, 0.5), (3.0, 6.0), (8.5, 9.5)])
def test_refined_is_nowhere_worse_than_argmax_at_the_border(
    sigma: float, x: tuple[float, float], y: tuple[float, float]
) -> None:
    """A border pixel's neighbours reach three sigmas beyond it, where targets are exact zeros."""
    points = torch.stack([low + (high - low) * torch.rand(300) for low, high in (x, y)], dim=-1)
    heat = render(points, (10, 12), sigma=sigma)
    refined, argmax = (decode(heat, how)[0] for how in ("refined", "argmax"))
    # an axis that keeps the highest pixel is argmax's; half a pixel is what argmax errs at most
    assert float((refined - points).abs().max()) <= 0.5 + 1e-9
    assert float((refined - points).norm(dim=-1).mean()) < float((argmax - points).norm(dim=-1).mean())


@pytest.mark.parametrize(
    ("sigma", "margin"), [(0.71, 1.0), (1.0, 1.0), (2.0, 1.0), (5.0, 1.0), (0.98, -0.5), (1.18, -0.5), (2.0, -0.5)]
)
def test_refined_finds_rendered_points_again(sigma: float, margin: float) -> None:
    size = (12, 16)
    points = inside(500, size, margin)
    found, score = decode(render(points, size, sigma=sigma), "refined")
    torch.testing.assert_close(found, points, rtol=0, atol=1e-11)
    assert bool((score > 0.5).all())
    single, _ = decode(render(points.float(), size, sigma=sigma), "refined")
    torch.testing.assert_close(single.double(), points, rtol=0, atol=2e-4 * max(1.0, sigma**2))  # log rounds to 1e-7


def test_refined_is_near_where_narrow_targets_leave_pixels_out() -> None:
    size = (12, 16)
    for sigma, tolerance in ((0.4, 0.5), (0.5, 0.3), (0.61, 0.08)):
        points = inside(500, size, 1.0)
        found, _ = decode(render(points, size, sigma=sigma), "refined")
        assert float((found - points).abs().max()) < tolerance


def test_refined_reads_slanted_gaussians_of_any_height() -> None:
    y, x = torch.meshgrid(torch.arange(9.0), torch.arange(9.0), indexing="ij")
    d = torch.stack([x - 4.3, y - 3.8], dim=-1)
    precision = torch.tensor([[0.5, 0.3], [0.3, 0.4]])
    heat = torch.exp(-0.5 * torch.einsum("hwi,ij,hwj->hw", d, precision, d))
    for height in (1.0, 1e-280, 1e280, 37.0):
        found, score = decode(height * heat)
        torch.testing.assert_close(found, torch.tensor([4.3, 3.8]), rtol=0, atol=1e-11)
        assert score == height * heat.max()


HAND = [[0.0, 0.0, 0.0, 0.0], [0.0, 0.3, 0.8, 0.5], [0.0, 0.2, 0.6, 0.0], [0.0, 0.0, 0.0, 0.0]]


def test_argmax_and_quarter_by_hand() -> None:
    heat = torch.tensor(HAND)
    point, score = decode(heat, "argmax")
    assert (point.tolist(), float(score)) == ([2.0, 1.0], 0.8)
    point, score = decode(heat, "quarter")
    assert (point.tolist(), float(score)) == ([2.25, 1.25], 0.8)
    assert decode(heat.flip(0, 1), "quarter")[0].tolist() == [0.75, 1.75]
    assert decode(heat[1:, :3], "quarter")[0].tolist() == [2.0, 0.0], "no shift along an axis that ends here"
    assert decode(heat[1:], "quarter")[0].tolist() == [2.25, 0.0]
    even = torch.tensor([[0.0, 0.0, 0.0], [0.5, 1.0, 0.5], [0.0, 0.2, 0.0]])
    assert decode(even, "quarter")[0].tolist() == [1.0, 1.25], "none between equal neighbours"


def test_refined_by_hand() -> None:
    heat = torch.tensor([[1.0, 2.0, 1.0], [2.0, 8.0, 4.0], [1.0, 2.0, 1.0]]) / 8
    # floor exp(-4.5) is not reached; x: g = ln(4/2)/2, curve = ln(2 * 4/64) = -3 ln 2; y: g = 0
    assert decode(heat)[0].tolist() == pytest.approx([1 + 1 / 6, 1.0])
    alone = torch.zeros(5, 5)
    alone[2, 3] = 0.7
    assert decode(alone)[0].tolist() == [3.0, 2.0]
    alone[2, 4] = 0.7  # a plateau of two pixels at the border
    assert decode(alone)[0].tolist() == pytest.approx([3.5, 2.0])


def test_where_the_map_is_no_hill_each_axis_stands_alone_and_no_step_is_longer_than_a_pixel() -> None:
    ridge = torch.tensor([[0.1, 0.7, 0.99], [0.8, 1.0, 0.9], [0.99, 0.6, 0.1]])  # H indefinite
    log = ridge.log()
    x = -(log[1, 2] - log[1, 0]) / 2 / (log[1, 2] - 2 * log[1, 1] + log[1, 0])
    y = -(log[2, 1] - log[0, 1]) / 2 / (log[2, 1] - 2 * log[1, 1] + log[0, 1])
    assert decode(ridge)[0].tolist() == pytest.approx([1 + float(x), 1 + float(y)])
    hill = torch.tensor([[0.5], [1.0], [0.5]])  # down the rows
    found, _ = decode(hill * torch.tensor([1.0, 0.99, 0.979, 0.0]))  # concave about the next pixel, its top far outside
    assert found.tolist() == [-1.0, 1.0]
    convex, _ = decode(hill * torch.tensor([1.0, 0.2, 0.1, 0.1]))
    assert convex.tolist() == [0.0, 1.0], "not concave about the next pixel: the highest pixel itself"


@pytest.mark.parametrize("how", DECODINGS)
def test_decoding_turns_with_the_map(how: str) -> None:
    heat = torch.rand(200, 7, 9)
    point, score = decode(heat, how)
    mirrored, again = decode(heat.flip(-1), how)
    torch.testing.assert_close(mirrored, torch.stack([8 - point[:, 0], point[:, 1]], dim=-1), rtol=0, atol=1e-12)
    assert torch.equal(score, again)
    transposed, _ = decode(heat.mT, how)
    torch.testing.assert_close(transposed, point.flip(-1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("how", DECODINGS)
def test_of_equal_values_the_first_counts(how: str) -> None:
    heat = torch.zeros(6, 6)
    heat[1, 4] = heat[4, 1] = 1.0
    assert decode(heat, how)[0].tolist() == [4.0, 1.0]
    for value in (0.0, 0.3, 1.0, -2.0):
        point, score = decode(torch.full((4, 5), value), how)
        assert (point.tolist(), float(score)) == ([0.0, 0.0], value)


@pytest.mark.parametrize("how", DECODINGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2), (3, 3), (2, 7), (8, 5)])
def test_decoding_is_finite_within_a_pixel_of_the_highest(how: str, dtype: torch.dtype, size: tuple[int, int]) -> None:
    limits = torch.finfo(dtype)
    noise = torch.randn(300, *size, dtype=dtype)
    maps = [noise, noise * 1e-12 + 1, noise.round(), noise.sign(), noise.abs() * limits.tiny, noise * limits.tiny / 64]
    maps += [noise.clamp(-1, 1) * limits.max, -noise.abs(), noise.relu(), (noise * 1e3).sigmoid(), noise.exp() ** 8]
    for heat in maps:
        for smooth in (0.0, 0.8):
            point, score = decode(heat, how, smooth=smooth)
            assert point.dtype == score.dtype == dtype
            assert bool(point.isfinite().all())
            assert torch.equal(score, heat.amax(dim=(-2, -1)))
            row, column = point[:, 1].round().long(), point[:, 0].round().long()
            assert int(row.min()) >= -1
            assert int(column.max()) <= size[1]
            pixel, _ = decode(heat, "argmax")
            assert float((point - pixel).abs().max()) <= 1.0


def test_a_map_that_is_nowhere_positive_shows_its_highest_pixel() -> None:
    heat = -torch.rand(100, 6, 7)
    heat[:50] = heat[:50].round()  # zeros as well
    for smooth in (0.0, 1.0):
        assert torch.equal(decode(heat, smooth=smooth)[0], decode(heat, "argmax")[0])


def test_nan_and_infinity_give_no_point() -> None:
    heat = torch.rand(4, 5, 5)
    heat[1, 3, 3], heat[2, 0, 4], heat[3, 2, 2] = torch.nan, torch.inf, -torch.inf
    for how in DECODINGS:
        point, _ = decode(heat, how)
        assert point.isnan().all(dim=-1).tolist() == [False, True, True, False]


def test_smoothing_is_scipys_and_calms_noise() -> None:
    heat = torch.rand(11, 13) + 5 * render(torch.tensor([[6.0, 5.0]]), (11, 13), sigma=2.0)[0]
    blurred = np.asarray(ndimage.gaussian_filter(heat.numpy(), 1.3, mode="constant", truncate=20))
    weights = np.asarray(ndimage.gaussian_filter(np.ones(heat.shape), 1.3, mode="constant", truncate=20))
    expected, _ = decode(torch.tensor(blurred / weights))
    found, score = decode(heat, smooth=1.3)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    assert score == heat.max()
    points = inside(300, (32, 32), 8.0)
    heat = render(points, (32, 32), sigma=2.0)
    assert float((decode(heat, smooth=1.0)[0] - points).abs().max()) < 0.01, "the targets' ends are all that moves it"
    noisy = heat + 0.02 * torch.randn(heat.shape)
    rough, calm = (float((decode(noisy, smooth=s)[0] - points).square().mean().sqrt()) for s in (0.0, 1.0))
    assert calm < 0.7 * rough


def test_refined_beats_quarter_beats_argmax() -> None:
    points = inside(500, (16, 16), 1.0)
    heat = render(points, (16, 16)) + 0.02 * torch.rand(500, 16, 16)
    error = {how: float((decode(heat, how)[0] - points).norm(dim=-1).mean()) for how in DECODINGS}
    assert error["refined"] < 0.3 * error["quarter"] < 0.3 * 0.7 * error["argmax"]


def test_decode_stacks_and_compiles() -> None:
    heat = torch.rand(3, 4, 6, 7)
    for how in DECODINGS:
        point, score = decode(heat, how)
        assert (point.shape, score.shape) == ((3, 4, 2), (3, 4))
        torch.testing.assert_close(point[2, 1], decode(heat[2, 1], how)[0], rtol=0, atol=1e-9)  # logs of a tail
        assert decode(torch.empty(0, 14, 6, 7), how)[0].shape == (0, 14, 2)
        compiled = torch.compile(lambda h, how=how: decode(h, how), backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(heat)[0], point, rtol=0, atol=0)


# --- peaks


def counted(heat: np.ndarray, share: float, apart: float) -> list[tuple[int, int]]:
    """The peaks' rows and columns, the highest first, by the definition."""

    def higher(a: tuple[int, int], b: tuple[int, int]) -> bool:
        return bool(heat[a] > heat[b]) or (bool(heat[a] == heat[b]) and a < b)

    pixels = [(i, j) for i in range(heat.shape[0]) for j in range(heat.shape[1])]
    tops = [
        p
        for p in pixels
        if heat[p] > 0
        and heat[p] >= share * heat.max()
        and not any(q != p and max(abs(q[0] - p[0]), abs(q[1] - p[1])) == 1 and higher(q, p) for q in pixels)
    ]
    kept = [p for p in tops if not any(higher(q, p) and math.dist(p, q) <= apart for q in tops)]
    return sorted(kept, key=lambda p: (-heat[p], p))


@pytest.mark.parametrize("levels", [3, 10**6])
@pytest.mark.parametrize(("share", "apart"), [(0.5, 3.0), (0.9, 0.0), (0.0, 2.5), (1.0, 1.5)])
def test_peaks_equal_the_loop_over_pixels(levels: int, share: float, apart: float) -> None:
    heat = torch.randint(0, levels, (2, 12, 7, 9)).double()  # three levels: many plateaus
    count, place = peaks(heat, share=share, apart=apart)
    assert count.shape == (2, 12)
    assert place.shape == (2, 12, 2, 2)
    for b in range(2):
        for k in range(12):
            expected = counted(heat[b, k].numpy(), share, apart)
            assert int(count[b, k]) == len(expected)
            found = [(round(y), round(x)) for x, y in place[b, k].tolist() if not math.isnan(x)]
            assert found == expected[:2]


def test_two_people_in_a_map() -> None:
    one, two = render(torch.tensor([[4.0, 5.0], [11.0, 6.3]]), (16, 16))
    count, place = peaks(torch.stack([one, one + 0.6 * two, one + 0.4 * two]))
    assert count.tolist() == [1, 2, 1]
    assert place[1].tolist() == [[4.0, 5.0], [11.0, 6.0]]
    assert place[0, 0].tolist() == [4.0, 5.0]
    assert bool(place[0, 1].isnan().all())
    assert int(peaks(one + 0.6 * two, apart=7.0)[0]) == 2
    assert int(peaks(one + 0.6 * two, apart=7.1)[0]) == 1
    assert int(peaks(one + 0.6 * two, share=0.7)[0]) == 1


def test_peaks_of_degenerate_maps() -> None:
    nan = torch.full((3, 3), torch.nan)
    maps = torch.stack([torch.zeros(3, 3), -torch.rand(3, 3), nan, torch.full((3, 3), 0.2)])
    count, place = peaks(maps)
    assert count.tolist() == [0, 0, 0, 1]
    assert place[3, 0].tolist() == [0.0, 0.0]
    assert bool(place[:3].isnan().all())
    assert peaks(torch.ones(1, 1))[0].tolist() == 1
    assert peaks(torch.empty(0, 14, 5, 5))[1].shape == (0, 14, 2, 2)
    assert peaks(torch.rand(2, 5, 5, dtype=torch.float32))[1].dtype == torch.float32


# --- from the frame and back, and along maps


def test_frame_and_heatmap_share_their_edges() -> None:
    points = 50 * torch.rand(20, 2)
    torch.testing.assert_close(to_frame(from_frame(points, 4), 4), points, rtol=1e-14, atol=1e-14)
    edges = torch.tensor([[-0.5, 63.5]])
    assert from_frame(edges, 4).tolist() == [[-0.5, 15.5]]
    assert torch.equal(from_frame(points, 1), points)
    mirrored = map_points(mirror_frame(64), points)
    torch.testing.assert_close(from_frame(mirrored, 4), map_points(mirror_frame(16), from_frame(points, 4)))


PERSPECTIVE = torch.tensor([[0.9, -0.3, 2.0], [0.2, 1.1, -1.0], [4e-3, -6e-3, 1.0]], dtype=torch.float64)


def test_map_heat_equals_scipys_interpolation() -> None:
    heat = torch.rand(2, 3, 10, 12)
    matrices = torch.stack([PERSPECTIVE, compose(mirror_frame(12), PERSPECTIVE)])
    found = map_heat(heat, matrices, (9, 15))
    assert found.shape == (2, 3, 9, 15)
    y, x = np.mgrid[:9, :15]
    for b in range(2):
        u, v, w = np.linalg.inv(matrices[b].numpy()) @ np.stack([x, y, np.ones_like(x)]).reshape(3, -1)
        for k in range(3):
            expected = ndimage.map_coordinates(heat[b, k].numpy(), [v / w, u / w], order=1, mode="grid-constant")
            torch.testing.assert_close(found[b, k].flatten(), torch.tensor(expected), rtol=0, atol=1e-12)


def test_map_heat_moves_what_the_map_shows() -> None:
    points = 4 + 8 * torch.rand(5, 3, 2)
    heat = render(points, (16, 20), sigma=2.5)
    found, _ = decode(map_heat(heat, PERSPECTIVE, (32, 32)), smooth=0.5)
    expected = map_points(PERSPECTIVE, points)
    assert float((found - expected).abs().max()) < 0.15, "bilinear interpolation moves a top by a part of a pixel"
    there = map_heat(heat, mirror_frame(20))
    torch.testing.assert_close(there, heat.flip(-1), rtol=0, atol=1e-12)
    torch.testing.assert_close(map_heat(there, mirror_frame(20)), heat, rtol=0, atol=1e-12)
    torch.testing.assert_close(map_heat(heat, torch.eye(3)), heat, rtol=0, atol=1e-12)
    single = map_heat(heat.float(), mirror_frame(20))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single, heat.float().flip(-1), rtol=0, atol=2e-6)  # slope .24 times 1e-5 px


def test_a_view_of_the_frame_is_undone_in_the_heatmap() -> None:
    stride, points = 4, 20 + 24 * torch.rand(6, 3, 2)
    view = torch.tensor([[1.1, 0.2, -5.0], [-0.1, 1.2, 3.0], [0.0, 0.0, 1.0]])
    seen = render(from_frame(map_points(view, points), stride), (20, 20), sigma=1.5)
    change = frame_matrix(torch.full((2,), 1 / stride), torch.full((2,), 0.5 / stride - 0.5))  # from_frame
    back = map_heat(seen, compose(inverse(change), inverse(view), change))
    assert float((to_frame(decode(back)[0], stride) - points).abs().max()) < 0.1 * stride


def test_outside_there_is_nothing() -> None:
    heat = torch.ones(1, 1, 4, 4)
    shift = torch.eye(3)
    shift[0, 2] = 1.5
    assert map_heat(heat, shift)[0, 0, 0].tolist() == [0.0, 0.5, 1.0, 1.0]
    for far in (1e9, 1e300):
        shift[0, 2] = far
        assert bool((map_heat(heat, shift) == 0).all())
        assert bool((map_heat(heat.float(), shift) == 0).all())
    # back: w = 1 - x/2 is 0 at x = 2 and negative beyond, where u/w = 10 and 8 would lie in the map again
    back = torch.tensor([[-3.0, 0.0, 4.0], [0.0, 1.0, 0.0], [-0.5, 0.0, 1.0]])
    there = map_heat(torch.ones(1, 1, 1, 40), torch.linalg.inv(back), (1, 5))
    assert there[0, 0, 0].tolist() == pytest.approx([1.0, 1.0, 0.0, 0.0, 0.0])
    column = map_heat(torch.ones(1, 1, 5, 1), torch.eye(3), (5, 3))
    assert column[0, 0, 2].tolist() == pytest.approx([1.0, 0.0, 0.0]), "a map of one column has its edges as well"


def test_map_heat_has_gradients() -> None:
    heat = torch.rand(1, 2, 4, 5, requires_grad=True)
    assert torch.autograd.gradcheck(lambda h: map_heat(h, PERSPECTIVE), heat)


# --- errors


def test_errors_say_what_is_wrong() -> None:
    heat, eye = torch.rand(2, 3, 4, 5), torch.eye(3)
    with pytest.raises(TypeError, match=r"render: expected points of a floating dtype, got torch.int64"):
        render(torch.zeros(3, 2, dtype=torch.long), (4, 4))
    with pytest.raises(ValueError, match=r"render: expected points \(\.\.\., 2\), got \(3, 4\)"):
        render(torch.zeros(3, 4), (4, 4))
    with pytest.raises(ValueError, match=r"render: expected sigma > 0 and finite, got 0"):
        render(torch.zeros(3, 2), (4, 4), sigma=0)
    with pytest.raises(ValueError, match=r"render: expected size >= 1, got \(4, 0\)"):
        render(torch.zeros(3, 2), (4, 0))
    with pytest.raises(
        ValueError, match=r"decode: expected how to be one of 'refined', 'quarter', 'argmax', got 'dark'"
    ):
        decode(heat, "dark")
    with pytest.raises(ValueError, match=r"decode: expected heatmaps \(\.\.\., h, w\) with pixels, got \(2, 0, 5\)"):
        decode(torch.rand(2, 0, 5))
    with pytest.raises(ValueError, match=r"decode: expected 0\.0 <= smooth <= inf, got -1"):
        decode(heat, smooth=-1)
    with pytest.raises(TypeError, match=r"decode: expected heat of a floating dtype, got torch.uint8"):
        decode(heat.byte())
    with pytest.raises(ValueError, match=r"peaks: expected 0\.0 <= share <= 1\.0, got 1\.5"):
        peaks(heat, share=1.5)
    with pytest.raises(ValueError, match=r"peaks: expected 0\.0 <= apart <= inf, got -2"):
        peaks(heat, apart=-2)
    with pytest.raises(ValueError, match=r"map_heat: expected heatmaps \(B, K, h, w\), got \(3, 4, 5\)"):
        map_heat(heat[0], eye)
    with pytest.raises(ValueError, match=r"map_heat: expected matrix \(3, 3\) or \(2, 3, 3\), got \(3, 3, 3\)"):
        map_heat(heat, eye.expand(3, 3, 3))
    with pytest.raises(ValueError, match=r"map_heat: expected invertible matrices, got 1 singular ones"):
        map_heat(heat, torch.zeros(3, 3))
    with pytest.raises(TypeError, match=r"map_heat: expected matrix of a floating dtype, got torch.int64"):
        map_heat(heat, eye.long())
