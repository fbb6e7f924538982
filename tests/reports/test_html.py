"""The report is one file, escaped, without scripts, and says what the numbers mean."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from steadfit.audit import suspects
from steadfit.errors import RunError
from steadfit.reports.gallery import gallery
from steadfit.reports.headlines import cards, compare_lead, find, run_lead
from steadfit.reports.html import write_compare_report, write_run_report
from steadfit.reports.overlays import write_image
from steadfit.reports.pages import report_comparison, report_run

EVIL = "<script>alert('x')</script>\"&.png"


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return write_image(np.zeros((4, 4, 3), dtype=np.uint8), tmp_path / "training_curves.png")


def write(folder: Path, labels: pd.DataFrame, **changes: Any) -> Page:
    values: dict[str, Any] = {
        "config": {"noise": "gum", "network": {"width": 32}},
        "metrics": {"test": {"mean_error": 1.404, "failure_rate": 0.0125}, "suspects": 0.285, "precision": None},
        "figures": {}, "suspects": suspects(labels),
    }  # fmt: skip
    return Page(write_run_report(folder, **{**values, **changes}))


def test_names_are_escaped_everywhere(tmp_path: Path, labels: pd.DataFrame, picture: Path) -> None:
    page = write(
        tmp_path, labels.assign(image=EVIL, point=EVIL), title=EVIL, config={EVIL: EVIL}, figures={EVIL: picture},
        captions={EVIL: EVIL}, metrics={EVIL: EVIL},
    )  # fmt: skip
    assert "script" not in page.tags
    assert page.text.count(EVIL) >= 3 * 2 + 4


def test_self_contained(tmp_path: Path, labels: pd.DataFrame, picture: Path) -> None:
    page = write(tmp_path, labels, figures={"Training": picture}, thumbnails=[picture.read_bytes()])
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert all(source.startswith(("data:image/", "#")) for source in page.sources)
    embedded = [source for source in page.sources if source.startswith("data:")]
    assert [base64.b64decode(source.partition(",")[2]) for source in embedded] == [picture.read_bytes()] * 2
    assert "http" not in re.sub(r"http-equiv", "", (tmp_path / "report.html").read_text("utf-8"))
    assert "warm-up" in page.text  # the figure's own caption


def test_headlines(tmp_path: Path, labels: pd.DataFrame) -> None:
    page = write(tmp_path, labels, unit="mm")
    assert "Predictions are off by 1.40 mm on average. 28.5 % of the training labels are suspect" in page.text
    for text in ("1.2 %", "failure rate", "above the threshold", "network.width", "noise gum", "faces/0.png"):
        assert text in page.text
    assert "truly wrong (the truth is known)" not in page.text  # no precision, no card


def test_only_the_first_rows_are_shown(tmp_path: Path, labels: pd.DataFrame) -> None:
    many = suspects(pd.concat([labels.assign(suspect=True)] * 5, ignore_index=True))
    page = write(tmp_path, labels, suspects=many)
    assert "The worst 50 of 90" in page.text
    assert page.tags.count("tr") == 1 + 50 + 4 + 2
    assert "No label is suspect." in write(tmp_path, labels, suspects=many.head(0)).text


def test_coordinates_are_joined_and_scalars_shown(tmp_path: Path, labels: pd.DataFrame) -> None:
    listed = suspects(labels)
    page = write(tmp_path, labels)
    assert "predicted_x" not in page.text
    assert f"{listed.x[0]:.1f}, {listed.y[0]:.1f}" in page.text
    scalar = pd.DataFrame({"rank": [1], "row": [7], "value": [31.0], "predicted": [60.0], "trust": [0.001]})
    assert re.search(r"given\s*predicted\s*trust\s*1\s*7\s*31\.0\s*60\.0\s*< \.01", write(tmp_path, labels,
                     suspects=scalar).text)  # fmt: skip


def test_a_missing_figure_is_named(tmp_path: Path, labels: pd.DataFrame) -> None:
    with pytest.raises(RunError, match=r"readable figure, got .*gone\.png \(No such file"):
        write(tmp_path, labels, figures={"a": tmp_path / "gone.png"})
    with pytest.raises(RunError, match=r"got .*a\.txt"):
        write(tmp_path, labels, figures={"a": tmp_path / "a.txt"})
    assert not (tmp_path / "report.html").exists()


def test_comparison(tmp_path: Path, results: dict[str, dict[str, Any]]) -> None:
    path = write_compare_report(tmp_path, config={"seed": 0}, results={**results, EVIL: {}}, figures={})
    page = Page(path)
    assert "GUM has the lowest mean error, 1.50 px" in page.text
    assert "The next is mine with 2.00 px, significantly worse." in page.text
    assert "(oracle) gives 1.40 px." in page.text
    assert EVIL in page.text
    assert path.read_text("utf-8").count('class="best"') == 1


def test_leads() -> None:
    close = {"gum": {"mean": 1.0}, "tukey": {"mean": 1.01, "stars": "n.s."}}
    assert compare_lead(close, "px").endswith("1.01 px, but not significantly worse.")
    assert compare_lead(close, "px", against="L2").endswith("Tukey with 1.01 px.")
    both = {"gum": {"mean": 1.0}, "tukey": {"mean": 1.5, "stars": "*"}, "l2": {"mean": 3.0, "stars": "*"}}
    assert compare_lead(both, "px").endswith("significantly worse. Trusting every label (L2) gives 3.00 px.")
    assert compare_lead({}, "px") == "No method has a mean error."
    assert run_lead({}, "px") == "The run has finished."
    assert find({"val": {"error": 2.0}, "test": {"error": 1.0}}, "mean_error", "error") == 1.0


def test_what_a_run_folder_holds_is_told_right() -> None:
    errors = {"rows": 4, "mae": 1.0, "point_error": 1.5, "failure_rate": 0.25}
    outliers = {"labels": 200, "suspects": 50, "error_rate": 0.3, "fallen_back": False}
    metrics = {"train": errors | {"point_error": 9.0}, "val": errors, "test": errors, "outliers": outliers}
    shown = {card.title: card for card in cards(metrics, "px")}
    assert shown["mean error"].value == "1.50 px"
    assert shown["mean error"].meaning == "Mean distance between predictions and the test labels."
    assert (shown["suspect share"].value, shown["failure rate"].value) == ("25.0 %", "25.0 %")
    assert run_lead(metrics, "px").startswith(
        "Predictions are off by 1.50 px on average. 25.0 % of the training labels"
    )
    del metrics["test"]
    assert "first stage" not in run_lead(metrics, "px")
    alone = {"coarse": {"val": {"point_error": 3.0}}}
    assert "The first stage alone would be off by 3.00 px." in run_lead(metrics | alone, "px")
    assert "There are no test rows" in run_lead(metrics, "px")
    assert "validation labels" in cards(metrics, "px")[0].meaning
    assert cards(metrics, "px")[0].value == "1.50 px"


def test_whole_pages(
    tmp_path: Path, labels: pd.DataFrame, load: Any, history: pd.DataFrame, results: dict[str, dict[str, Any]]
) -> None:
    page = Page(report_run(tmp_path / "run", config={}, metrics={}, histories={"gum": history}, table=labels,
                           load=load))  # fmt: skip
    assert page.tags.count("img") == 3 + 3  # figures, and a thumbnail for each suspect
    assert sorted(path.name for path in (tmp_path / "run" / "figures").iterdir()) == [
        "suspects_gallery.png", "training_curves.png", "trust_histogram.png",
    ]  # fmt: skip
    page = Page(report_comparison(tmp_path / "all", config={}, results=results, histories={"gum": history},
                                  gallery_of=(labels, load), threshold=3.0))  # fmt: skip
    assert page.tags.count("figure") == 4


def test_whole_page_of_a_table(tmp_path: Path, labels: pd.DataFrame, history: pd.DataFrame) -> None:
    table = labels.rename(columns={"image": "row"})
    page = Page(report_run(tmp_path, config={}, metrics={}, histories={"l2": history}, table=table))
    assert page.tags.count("img") == 2


def test_points_and_scalars_in_one_table(tmp_path: Path, labels: pd.DataFrame, load: Any) -> None:
    age = pd.DataFrame({"image": ["faces/1.png"], "line": [3], "split": "train", "point": "age", "value": [31.25],
                        "predicted": [60.5], "residual": [29.25], "trust": [0.0], "suspect": [True]})  # fmt: skip
    both = pd.concat([labels.drop(columns="wrong"), age], ignore_index=True)
    page = write(tmp_path, labels, suspects=suspects(both))
    assert re.search(r"age\s*31\.2\s*60\.5\s*29\.2\s*< \.01", page.text)
    assert len(gallery(both, load).axes) == 3
