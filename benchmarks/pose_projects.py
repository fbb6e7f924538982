"""Pose projects as laboratories have them: read, checked, trained on, and written back with predictions.

    python benchmarks/pose_projects.py             # two of DeepLabCut, one of Lightning Pose, about five minutes

All steps but the comparisons are commands, as a user types them: ``check``, ``fit``, ``predict --to`` and ``convert``.
What they write is compared with the original: an unchanged project byte for byte; a project with predictions by reading
it back, and by pandas as DeepLabCut does; and, after one label was moved, cell for cell. The training is short, and
the data sets are small and of one video each: the errors only show that something was learned, beside those of the mean
pose of the training images.

Needs the folder ``pose_projects`` in $STEADFIT_DATA (default ~/.cache/steadfit-data), with the example projects
``dlc_openfield`` and ``dlc_reaching`` of DeepLabCut and ``lp_mirror_mouse`` of Lightning Pose. Results go to
benchmarks/results/pose_projects.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import steadfit
from steadfit._files import write_text
from steadfit.data import Annotations, load_annotations
from sweep import DATA
from tables import to_markdown

RESULTS = Path(__file__).parent / "results" / "pose_projects.md"
FIT = ("--noise", "gum", "--size", "96", "--batch-size", "16", "--seed", "0", "--device", "cpu")


@dataclass(frozen=True)
class Project:
    """A project, its format, and the options with which it can be trained on."""

    name: str
    format: str
    options: Mapping[str, str] | None = None  # None: everything as it is
    tables: str = "labeled-data/*/*.csv"

    @property
    def path(self) -> Path:
        return DATA / "pose_projects" / self.name

    @property
    def flags(self) -> list[str]:
        """The options, as they are typed."""
        if self.options is None:
            return []
        return ["--skip-bad", *(word for name, value in self.options.items() for word in (f"--{name}", value))]


PROJECTS = (
    Project("dlc_openfield", "dlc"),
    Project("dlc_reaching", "dlc", {"points": "Hand,Finger1,Joystick1,Joystick2"}),
    Project("lp_mirror_mouse", "lightning-pose", tables="CollectedData*.csv"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=40)
    epochs = parser.parse_args().epochs
    if absent := [one.name for one in PROJECTS if not one.path.is_dir()]:
        sys.exit(f"pose_projects: no {', '.join(absent)} in {DATA / 'pose_projects'} ($STEADFIT_DATA).")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found = [measured(one, Path(folder, one.name), epochs) for one in PROJECTS]
    lines = [
        "# Pose projects, in and out",
        "",
        f"- command: `python benchmarks/pose_projects.py --epochs {epochs}`",
        f"- versions: steadfit {steadfit.__version__}, torch {torch.__version__}, pandas {pd.__version__}, "
        f"Python {platform.python_version()}",
        f"- training: `steadfit fit PROJECT --epochs {epochs} {' '.join(FIT)}`, the compact network, splits drawn",
        f"- threads: {torch.get_num_threads()} (OMP_NUM_THREADS); another number changes the errors by up to 2 px",
        f"- duration: {(time.perf_counter() - start) / 60:.1f} min",
        *section("Read and checked", [one["read"] for one in found]),
        *section("Trained on", [one["fit"] for one in found]),
        "",
        "Errors are means over labels, in px. The mean pose is that of the training images, for every image the same.",
        *section("Written back", [one["written"] for one in found]),
        "",
        "`unchanged`: files of the project that `convert` writes back byte for byte. `one label moved`: cells that "
        "differ then. `read back`: the largest difference, in px, between the predictions and the project that "
        "`predict --to` writes, read again with the same images and points. `by pandas`: the same for "
        "`pandas.read_csv(header=[0, 1, 2], index_col=0)`.",
        "",
        "## Without options",
        "",
        *(line for one in found for line in one["told"]),
    ]
    write_text("\n".join(lines) + "\n", RESULTS)
    print("\n".join(lines))


def section(title: str, rows: Sequence[Mapping[str, object]]) -> list[str]:
    return ["", f"## {title}", "", to_markdown(pd.DataFrame(rows))]


def measured(project: Project, out: Path, epochs: int) -> dict[str, dict[str, object] | list[str]]:
    """All steps with one project."""
    data = read(project.path)
    fitted = trained(project, out, epochs)
    return {
        "read": {"project": project.name, **reading(project, data, out)},
        "fit": {"project": project.name, **fitted},
        "written": {"project": project.name, **writing(project, data, out)},
        "told": told(project, out),
    }


def read(path: Path) -> Annotations:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # images that are not there are counted here
        return steadfit.read(path)


def command(*words: object, fails: bool = False) -> str:
    """Run a command of steadfit; what it writes to standard error."""
    call = [sys.executable, "-m", "steadfit", *map(str, words)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    if bool(done.returncode) != fails:
        sys.exit(f"pose_projects: {' '.join(call)} ended with {done.returncode}:\n{done.stderr}")
    return done.stderr


def reading(project: Project, data: Annotations, out: Path) -> dict[str, object]:
    absent = sum(not (data.root / name).is_file() for name in data.images or ())
    command("check", project.path, "--out", out / "check", fails=absent > 0)
    sheet = out / "check" / "contact_sheet.png"
    return {
        "format found": data.format,
        "rows": len(data),
        "points": len(data.schema.points),
        "labels missing, %": round(100 * float(np.isnan(data.target).any(axis=2).mean()), 1),
        "images not found": absent,
        "contact sheet": f"{sheet.stat().st_size // 1024} KiB" if sheet.is_file() else "none",
    }


def trained(project: Project, out: Path, epochs: int) -> dict[str, object]:
    """A short training; its errors beside those of the mean pose, on the same rows."""
    start = time.perf_counter()
    command("fit", project.path, *project.flags, "--epochs", epochs, *FIT, "--out", out / "run")
    seconds = time.perf_counter() - start
    measures = json.loads((out / "run" / "metrics.json").read_text())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = load_annotations(project.path, options=project.options, skip_bad=True)
    pose = np.nanmean(rows.target[rows.rows("train")], axis=0)
    result: dict[str, object] = {
        "options": " ".join(project.flags) or "none",
        "train / val / test": " / ".join(str(len(rows.rows(word))) for word in ("train", "val", "test")),
        "seconds": round(seconds, 1),
    }
    for word in ("val", "test"):
        if measures[word]["rows"] != len(rows.rows(word)):
            sys.exit(f"pose_projects: {project.name}: the run has other splits than the table that is read again.")
        away = np.linalg.norm(rows.target[rows.rows(word)] - pose, axis=2)
        result[f"{word}, mean pose"] = round(float(np.nanmean(away)), 1)
        result[f"{word}, trained"] = round(measures[word]["point_error"], 1)
    return result


def writing(project: Project, data: Annotations, out: Path) -> dict[str, object]:
    """What is written back, compared with the original."""
    command("convert", project.path, out / "same", "--to", project.format)
    files = [file for file in sorted((out / "same").rglob("*")) if file.is_file()]
    same = [file.read_bytes() == (project.path / file.relative_to(out / "same")).read_bytes() for file in files]
    skip = ["--skip-bad"] if project.options is not None else []
    command("predict", out / "run", project.path, *skip, "--to", project.format, "--out", out / "predictions")
    return {
        "unchanged": f"{sum(same)} of {len(files)}",
        "one label moved": f"{moved(project, data, out)} of {cells(project)}",
        **read_back(project, data, out / "predictions"),
    }


def table(project: Project, folder: Path) -> Path:
    (found,) = folder.glob(project.tables)
    return found


def cells(project: Project) -> int:
    with table(project, project.path).open(newline="") as file:
        return sum(map(len, csv.reader(file)))


def moved(project: Project, data: Annotations, out: Path) -> int:
    """The number of cells that differ, as text, after one label was moved."""
    target = data.target.copy()
    row, point = np.argwhere(~np.isnan(target).any(axis=2))[3].tolist()
    target[row, point] += (1.25, -0.5)
    steadfit.write(data.with_target(target), out / "moved", format=project.format)
    with table(project, project.path).open(newline="") as one, table(project, out / "moved").open(newline="") as other:
        before, after = list(csv.reader(one)), list(csv.reader(other))
    if list(map(len, before)) != list(map(len, after)):
        sys.exit(f"pose_projects: {project.name}: the table has another shape after a label was moved.")
    return sum(a != b for x, y in zip(before, after, strict=True) for a, b in zip(x, y, strict=True))


def read_back(project: Project, data: Annotations, out: Path) -> dict[str, object]:
    """Predictions, beside the project that was written with them."""
    frame = pd.read_csv(out / "predictions.csv")
    names = [name for name in data.schema.points if project.options is None or name in project.options["points"]]
    columns = [f"{axis}{k}" for k in range(len(names)) for axis in "xy"]
    predicted = frame[columns].to_numpy().reshape(len(frame), -1, 2)
    again = read(out / project.format)
    if list(again.images or ()) != frame["image"].tolist() or not set(names) <= set(again.schema.points):
        sys.exit(f"pose_projects: {project.name}: other images or points after reading back.")
    order = [again.schema.points.index(name) for name in names]
    by_pandas = pd.read_csv(table(project, out / project.format), header=[0, 1, 2], index_col=0)
    if by_pandas.index.tolist() != frame["image"].tolist():
        sys.exit(f"pose_projects: {project.name}: pandas reads other images.")
    by_name = by_pandas.droplevel(0, axis=1)
    xy = np.stack([by_name[name][["x", "y"]].to_numpy(dtype=np.float64) for name in names], axis=1)
    return {
        "rows with predictions": len(frame),
        "read back": f"{float(np.abs(again.target[:, order] - predicted).max()):.0e}",
        "by pandas": f"{float(np.abs(xy - predicted).max()):.0e}",
    }


def told(project: Project, out: Path) -> list[str]:
    """What ``fit`` says about a project that it does not take as it is."""
    if project.options is None:
        return []
    lines = []
    for flags in ([], ["--skip-bad"]):
        said = command("fit", project.path, *flags, *FIT, "--out", out / "none", fails=True)
        said = said.replace(str(project.path), project.name)
        said = "\n".join(line for line in said.splitlines() if not line.startswith("warning"))
        lines += [f"`steadfit fit {' '.join([project.name, *flags])}`:", "", "```", said, "```", ""]
    return lines[:-1]


if __name__ == "__main__":
    main()
