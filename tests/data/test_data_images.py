from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from steadfit.data import letterbox, open_image, read_image, scan
from steadfit.data.images.files import letterbox_map
from steadfit.errors import DataError


def jpeg(image: np.ndarray, *flags: int) -> bytes:
    return bytes(cv2.imencode(".jpg", image, list(flags))[1])


@pytest.fixture
def picture() -> np.ndarray:
    return cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8), (64, 48))


@pytest.mark.parametrize(
    ("height", "width", "size"), [(30, 40, 20), (30, 40, 80), (41, 23, 48), (96, 96, 48), (7, 5, (20, 31)), (1, 90, 16)]
)
def test_letterbox_maps_the_image_onto_its_place(height: int, width: int, size: int | tuple[int, int]) -> None:
    image = np.full((height, width, 1), 9, dtype=np.uint8)
    frame, scale, shift = letterbox(image, size)
    rows, columns = (size, size) if isinstance(size, int) else size
    assert frame.shape == (rows, columns, 1)
    outer = np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]]) * scale + shift  # the image's outer edges
    new = outer[1] - outer[0]
    np.testing.assert_allclose(new, np.round(new), atol=1e-12)  # whole pixels
    np.testing.assert_allclose(outer[0] + 0.5, np.floor((np.array([columns, rows]) - np.round(new)) / 2), atol=1e-12)
    assert np.isclose(new, [columns, rows]).any()  # one side is filled
    assert (np.round(new) >= 1).all()


@pytest.mark.parametrize("at", [(0, 0), (29, 19), (11, 7)])
@pytest.mark.parametrize("factor", [2, 4])
def test_an_enlarged_dot_has_its_centroid_where_the_map_says(at: tuple[int, int], factor: int) -> None:
    image = np.zeros((22, 32, 1), dtype=np.uint8)
    image[at[1] + 1, at[0] + 1] = 240
    frame, scale, shift = letterbox(image, 32 * factor)
    y, x = np.mgrid[: frame.shape[0], : frame.shape[1]]
    mass = frame[:, :, 0].astype(float)
    centroid = np.array([(mass * x).sum(), (mass * y).sum()]) / mass.sum()
    np.testing.assert_allclose(centroid, (np.array(at) + 1) * scale + shift, atol=1e-12)  # symmetric: exact


def test_a_shrunk_block_is_one_pixel_where_the_map_says() -> None:
    image = np.zeros((48, 96, 3), dtype=np.uint8)
    image[8:12, 20:24] = 200  # centre (21.5, 9.5)
    frame, scale, shift = letterbox(image, 24)
    assert (scale.tolist(), shift.tolist()) == ([0.25, 0.25], [-0.375, 5.625])
    x, y = np.array([21.5, 9.5]) * scale + shift
    assert (x, y) == (5.0, 8.0)
    assert frame[8, 5].tolist() == [200, 200, 200]
    assert int(frame.astype(int).sum()) == 600


def test_the_border_repeats_the_outermost_pixels() -> None:
    image = np.arange(8, dtype=np.uint8).reshape(2, 4, 1)
    frame, scale, shift = letterbox(image, 4)
    assert frame[:, :, 0].tolist() == [[0, 1, 2, 3], [0, 1, 2, 3], [4, 5, 6, 7], [4, 5, 6, 7]]
    assert (scale.tolist(), shift.tolist()) == ([1.0, 1.0], [0.0, 1.0])


def test_letterbox_map_of_many_is_that_of_each() -> None:
    sizes = np.array([[40.0, 30.0], [5.0, 7.0], [96.0, 96.0]])
    scale, shift = letterbox_map(sizes, (20, 30))
    for k, (width, height) in enumerate(sizes.astype(int)):
        _, one_scale, one_shift = letterbox(np.zeros((height, width, 3), dtype=np.uint8), (20, 30))
        assert scale[k].tolist() == one_scale.tolist()
        assert shift[k].tolist() == one_shift.tolist()


def test_letterbox_needs_a_size() -> None:
    with pytest.raises(ValueError, match="expected a size of at least 1 px, got 0"):
        letterbox(np.zeros((2, 2, 1), dtype=np.uint8), 0)


def test_png_is_read_as_rgb_bit_for_bit(tmp_path: Path, picture: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    assert (read_image(tmp_path / "a.png", 3) == picture[:, :, ::-1]).all()
    grey = read_image(tmp_path / "a.png", 1)
    assert grey.shape == (48, 64, 1)
    assert grey.dtype == np.uint8


def test_16_bits_and_alpha_become_8_bit_rgb(tmp_path: Path, picture: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "deep.png"), picture.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "alpha.png"), np.dstack([picture, np.full((48, 64), 7, np.uint8)]))
    cv2.imwrite(str(tmp_path / "grey.png"), picture[:, :, 0])
    assert (read_image(tmp_path / "deep.png", 3) == picture[:, :, ::-1]).all()
    assert (read_image(tmp_path / "alpha.png", 3) == picture[:, :, ::-1]).all()
    assert (read_image(tmp_path / "grey.png", 3) == picture[:, :, :1]).all()


def test_unreadable_images(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"text.jpg: expected an image, got 8 bytes that OpenCV cannot decode"):
        read_image(tmp_path / "text.jpg", 3)
    with pytest.raises(DataError, match=r"empty.jpg: expected an image, got 0 bytes"):
        read_image(tmp_path / "empty.jpg", 3)
    with pytest.raises(DataError, match=r"none.jpg: expected a readable image, got No such file"):
        read_image(tmp_path / "none.jpg", 1)
    with pytest.raises(ValueError, match="expected channels to be 1 or 3, got 2"):
        read_image(tmp_path / "none.jpg", 2)


def test_scan_gives_sizes_digests_and_progress(tmp_path: Path, picture: np.ndarray) -> None:
    for name, image in {"a.png": picture, "b.png": picture, "c.png": picture[:30]}.items():
        cv2.imwrite(str(tmp_path / name), image)
    calls: list[tuple[int, int]] = []
    sizes, digests, reasons, *_ = scan(
        tmp_path, ["a.png", "b.png", "c.png"], lambda done, total: calls.append((done, total))
    )
    assert sizes.tolist() == [[64.0, 48.0], [64.0, 48.0], [64.0, 30.0]]
    assert digests[0] == digests[1] != digests[2]
    assert reasons == [None, None, None]
    assert calls[-1] == (3, 3)
    assert scan(tmp_path, [])[0].shape == (0, 2)


@pytest.mark.parametrize("flags", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)])
def test_a_jpeg_cut_anywhere_is_found(tmp_path: Path, picture: np.ndarray, flags: tuple[int, ...]) -> None:
    data = jpeg(picture, *flags)
    cuts = [len(data) - 1, len(data) - 2, len(data) - 40, len(data) // 2, 300, 30, 3]
    names = [f"{cut}.jpg" for cut in cuts]
    for cut, name in zip(cuts, names, strict=True):
        (tmp_path / name).write_bytes(data[:cut])
    sizes, _, reasons, *_ = scan(tmp_path, names)
    assert np.isnan(sizes).all()
    for cut, reason in zip(cuts, reasons, strict=True):
        assert reason == f"expected a whole image, got '{cut}.jpg', truncated after {cut} bytes."


@pytest.mark.parametrize("tail", [b"", b"\0" * 9, b"\r\n", b"SEFT a phone's trailer"])
def test_what_follows_the_end_of_a_jpeg_does_no_harm(tmp_path: Path, picture: np.ndarray, tail: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(picture) + tail)
    assert scan(tmp_path, ["a.jpg"])[2] == [None]


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_image(tmp_path: Path, picture: np.ndarray) -> None:
    data, thumbnail = jpeg(picture), jpeg(picture[:8, :8])
    segment = b"\xff\xe1" + (len(thumbnail) + 8).to_bytes(2, "big") + b"Exif\0\0" + thumbnail
    whole = data[:2] + segment + data[2:]
    (tmp_path / "whole.jpg").write_bytes(whole)
    (tmp_path / "cut.jpg").write_bytes(whole[:-60])
    reasons = scan(tmp_path, ["whole.jpg", "cut.jpg"])[2]
    assert reasons[0] is None
    assert "truncated after" in str(reasons[1])


def test_a_truncated_png_is_found(tmp_path: Path, picture: np.ndarray) -> None:
    data = bytes(cv2.imencode(".png", picture)[1])
    (tmp_path / "a.png").write_bytes(data[:-12])
    assert scan(tmp_path, ["a.png"])[2] == [
        f"expected a whole image, got 'a.png', truncated after {len(data) - 12} bytes."
    ]


def test_paths_must_stay_inside(tmp_path: Path, picture: np.ndarray) -> None:
    root = tmp_path / "set"
    root.mkdir()
    (root / "x").mkdir()
    (tmp_path / "set2").mkdir()
    for path in (tmp_path / "out.png", tmp_path / "set2" / "a.png", root / "in.png"):
        cv2.imwrite(str(path), picture)
    (root / "link.png").symlink_to(tmp_path / "out.png")
    (root / "inner.png").symlink_to(root / "in.png")
    names = [
        "in.png",
        "./x/../in.png",
        "inner.png",
        "../out.png",
        "../set2/a.png",
        "link.png",
        str(root / "in.png"),
        "",
        "a\0b",
    ]
    reasons = scan(root, names)[2]
    assert reasons[:3] == [None, None, None]
    for reason in reasons[3:6]:
        assert str(reason).startswith(f"expected an image inside {root}, got")
    assert reasons[6] is None  # an absolute path inside
    assert reasons[7] == "expected the path of an image, got ''."
    assert reasons[8] == "expected the path of an image, got 'a\\x00b'."


def test_a_root_that_is_a_link_itself_is_fine(tmp_path: Path, picture: np.ndarray) -> None:
    (tmp_path / "real").mkdir()
    cv2.imwrite(str(tmp_path / "real" / "a.png"), picture)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert scan(tmp_path / "link", ["a.png"])[2] == [None]


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_is_the_same_however_it_is_given(picture: np.ndarray, tmp_path: Path, channels: int) -> None:
    path, grey = tmp_path / "a.webp", cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    assert cv2.imwrite(str(path), picture[:, :, ::-1], [cv2.IMWRITE_WEBP_QUALITY, 101])  # without loss
    for given in (path, str(path), path.read_bytes(), picture):
        got = open_image(given, channels)
        assert got.dtype == np.uint8
        assert np.array_equal(got, picture if channels == 3 else grey[:, :, None])
    for flat in (grey, grey[:, :, None]):
        assert np.array_equal(open_image(flat, channels), np.repeat(grey[:, :, None], channels, axis=2))


@pytest.mark.parametrize(
    ("given", "channels", "error", "message"),
    [
        (np.zeros((4, 4)), 3, DataError, r"predict: expected uint8 images .* got float64 \(4, 4\)"),
        (np.zeros((4, 4, 2), np.uint8), 3, DataError, r"got uint8 \(4, 4, 2\)"),
        (b"no image", 3, DataError, "expected an image, got 8 bytes that OpenCV cannot decode"),
        (np.zeros((4, 4), np.uint8), 2, ValueError, "predict: expected channels to be 1 or 3, got 2"),
    ],
)
def test_what_cannot_be_opened(given: object, channels: int, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        open_image(given, channels, who="predict")  # type: ignore[arg-type]
