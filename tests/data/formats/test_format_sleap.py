"""SLEAP's labels and analysis files."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sample_sleap
import sample_sleap_analysis

from steadfit.data.exchange import read
from steadfit.errors import DataError, DataWarning

h5py = pytest.importorskip("h5py")


@pytest.fixture(autouse=True)
def quiet() -> None:
    """Frames of videos are not there, of which a warning speaks."""
    warnings.simplefilter("ignore", DataWarning)


def instance(skeleton: Any, points: list[list[float]], hidden: tuple[int, ...] = ()) -> Any:
    """What the reader uses of sleap-io's instances: hidden nodes have places that do not count."""

    def numpy(*, invisible_as_nan: bool) -> np.ndarray:
        assert invisible_as_nan
        found = np.array(points, dtype=np.float64)
        found[list(hidden)] = np.nan
        return found

    return SimpleNamespace(skeleton=skeleton, numpy=numpy)


def labels() -> Any:
    """Two videos and a list of images."""
    skeleton = SimpleNamespace(
        node_names=["nose", "ear_r", "ear_l"],
        edge_names=[("nose", "ear_l")],
        symmetry_names=[{"ear_r", "ear_l"}],
    )
    images = SimpleNamespace(filename=["/data/mice/a/1 ß.png", "/data/mice/b/1.png"], shape=[2, 40, 60, 3])
    films = [SimpleNamespace(filename=f"C:\\{k}\\cage.mp4", shape=None) for k in "ab"]
    one = instance(skeleton, [[1, 2], [3, 4], [5, 6]], hidden=(1,))
    two = instance(skeleton, [[7, 2.5], [8, 4], [9, 6]])

    def frame(video: Any, number: int, user: list[Any], *, predicted: int = 0, negative: bool = False) -> Any:
        return SimpleNamespace(
            video=video,
            frame_idx=number,
            user_instances=user,
            predicted_instances=[None] * predicted,
            is_negative=negative,
        )

    frames = [
        frame(images, 1, [one, two]),
        frame(films[0], 17, [one], predicted=2),
        frame(films[1], 17, [two]),
        frame(films[1], 18, [], negative=True),
    ]
    return SimpleNamespace(videos=[images, *films], labeled_frames=frames, skeletons=[skeleton])


@pytest.fixture
def slp(tmp_path: Path) -> Path:
    """A file that is HDF5."""
    path = tmp_path / "labels.slp"
    with h5py.File(path, "w") as file:
        file["metadata"] = 1
    return path


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module in the place of sleap-io, whose file is :func:`labels`."""
    module = ModuleType("sleap_io")
    module.load_slp = lambda filename, open_videos: labels()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sleap_io", module)
    return module


def test_what_people_labelled_is_read(slp: Path, library: ModuleType) -> None:
    data = read(slp)
    assert data.format == "sleap"
    assert data.images == ("b/1.png", "b/1.png", "cage/17.png", "cage_2/17.png")
    assert data.schema.points == ("nose", "ear_r", "ear_l")
    assert data.schema.pairs == ((2, 1),)
    assert data.schema.limbs == ((0, 2),)
    np.testing.assert_array_equal(data.target[0], [[1, 2], [np.nan, np.nan], [5, 6]])
    assert data.group is not None
    assert data.group.tolist() == ["", "", "cage", "cage_2"]
    assert data.size is not None
    assert data.size[0].tolist() == [60, 40]
    assert data.at is not None
    assert data.at[1] == "labeled_frames[0].instances[1]"
    notes = " ".join(data.notes)
    assert "2 rows are frames of 2 videos: they have to be extracted as images cage/<number" in notes
    assert "2 predicted instances are left out" in notes
    assert "1 frames are marked as showing no animal" in notes


def test_images_of_a_list_are_found_by_their_names(slp: Path, library: ModuleType) -> None:
    folder = slp.parent / "frames" / "b"
    folder.mkdir(parents=True)
    (folder / "1.png").write_bytes(b"")
    assert read(slp).root == slp.parent / "frames"


def test_without_the_library_its_extra_is_named(slp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sleap_io", None)
    with pytest.raises(DataError, match=r"expected the library sleap-io.*pip install 'steadfit\[sleap\]'"):
        read(slp)


def test_a_file_that_the_library_cannot_read(slp: Path, library: ModuleType) -> None:
    def fail(filename: str, open_videos: bool) -> Any:
        raise KeyError("videos_json")

    library.load_slp = fail  # type: ignore[attr-defined]
    with pytest.raises(DataError, match=r"labels.slp: expected a file of SLEAP, got one .*videos_json"):
        read(slp)


def test_a_file_that_sleap_io_wrote(tmp_path: Path) -> None:
    data = read(sample_sleap.build(tmp_path))
    assert data.images == ("a b.png", "a b.png", "ß.png", "c.png")
    assert data.root == tmp_path / "frames"
    np.testing.assert_array_equal(data.target[1], [[11, 12], [np.nan, np.nan], [15, 16]])
    assert data.schema.pairs == ((1, 2),)
    assert data.schema.limbs == ((0, 1),)


def test_the_array_of_an_analysis_file_is_turned(tmp_path: Path) -> None:
    data = read(sample_sleap_analysis.build(tmp_path))
    assert data.format == "sleap-analysis"
    assert data.images == tuple(f"cage 1/{k}.png" for k in (0, 0, 1, 1, 2))
    assert data.at is not None
    assert data.at.tolist() == [f"frame {k}, track {t}" for k, t in ((0, "a"), (0, "b"), (1, "a"), (1, "b"), (2, "a"))]
    np.testing.assert_array_equal(data.target[1], np.arange(6, 12).reshape(3, 2) + 0.25)
    assert np.isnan(data.target[2, 2]).all()
    assert (data.schema.pairs, data.schema.limbs) == (((1, 2),), ((0, 1), (0, 2)))
    assert data.notes[0].startswith("An analysis file does not say which instances people labelled")


@pytest.mark.parametrize(
    ("dims", "order"),
    [
        ('["frame", "track", "node", "xy"]', (3, 0, 2, 1)),
        ('["xy", "node", "track", "frame"]', (1, 2, 0, 3)),
    ],
)
def test_the_dimensions_that_a_file_names_are_its_own(tmp_path: Path, dims: str, order: tuple[int, ...]) -> None:
    path = sample_sleap_analysis.build(tmp_path)
    before = read(path)
    with h5py.File(path, "a") as file:
        tracks = file["tracks"][()]
        del file["tracks"]
        file["tracks"] = tracks.transpose(order)
        file["tracks"].attrs["dims"] = dims
    np.testing.assert_array_equal(read(path).target, before.target)


def test_an_array_that_does_not_fit_its_names(tmp_path: Path) -> None:
    path = sample_sleap_analysis.build(tmp_path)
    with h5py.File(path, "a") as file:
        del file["node_names"]
        file["node_names"] = np.array(["nose"], dtype="S")
    with pytest.raises(DataError, match=r"tracks: expected x and y of 1 nodes, got the shape \(2, 2, 3, 4\)"):
        read(path)


def test_a_list_of_images_names_the_frames(tmp_path: Path) -> None:
    path = sample_sleap_analysis.build(tmp_path)
    with h5py.File(path, "a") as file:
        del file["video_path"]
        file["video_path"] = [f"/data/m/{k}.png" for k in range(4)]
    data = read(path)
    assert data.images == ("0.png", "0.png", "1.png", "1.png", "2.png")
    assert data.group is None


def test_a_damaged_file_is_one_error(tmp_path: Path) -> None:
    path = sample_sleap_analysis.build(tmp_path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match="expected a whole HDF5 file, got a damaged one"):
        read(path, format="sleap-analysis")
