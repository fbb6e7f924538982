"""The report is one file, escaped, without scripts, and says what the numbers mean."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from matplotlib.text import Text

from steadfit.audit import suspects
from steadfit.metrics import calibration
from steadfit.metrics.convergence import summarise
from steadfit.penalties import Squared
from steadfit.reports.calibration_figure import calibration_figure
from steadfit.reports.class_confusions import confusion_figure
from steadfit.reports.comparison_figures import error_cdf, failure_bars
from steadfit.reports.convergence_curves import convergence_figure
from steadfit.reports.convergence_tables import verdicts
from steadfit.reports.fit_summary import fit_summary
from steadfit.reports.hard_examples import hardest_gallery
from steadfit.reports.pages.comparison import write_comparison_page
from steadfit.reports.pages.run import hardest_table, label_panels, suspects_table, write_run_page
from steadfit.reports.pages.summary import cards, compare_lead, find, run_lead
from steadfit.reports.panel import Panel
from steadfit.reports.suspects_gallery import gallery
from steadfit.reports.training_curves import training_curves, validation_curves

RACED = {name: [pd.DataFrame({"epoch": [1, 2], "val_error": [2.0, best]})] for name, best in (("l2", 1), ("gum", 0.5))}
EVIL = "<script>alert('x')</script>\"&.png"


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.lines: list[str] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data
        self.lines += [data] if self.tags[-1:] != ["style"] else []


def write(folder: Path, labels: pd.DataFrame, load: Any = None, **changes: Any) -> Page:
    values: dict[str, Any] = {
        "config": {"noise": "gum", "network": {"width": 32}},
        "metrics": {"test": {"point_error": 1.404, "failure_rate": 0.0125}, "suspects": 0.285, "precision": None},
        "panels": [], "listed": suspects_table(labels, load),
    }  # fmt: skip
    return Page(write_run_page(folder, **{**values, **changes}))


def test_names_are_escaped_everywhere(tmp_path: Path, labels: pd.DataFrame, history: pd.DataFrame) -> None:
    curves = training_curves({"gum": history})
    page = write(
        tmp_path, labels.assign(image=EVIL, point=EVIL), title=EVIL, config={EVIL: EVIL}, metrics={EVIL: EVIL},
        panels=[Panel(curves.figure, EVIL, EVIL, name="curves")],
    )  # fmt: skip
    assert "script" not in page.tags
    assert page.text.count(EVIL) >= 3 * 2 + 2 + 2 * 2 + 2  # suspects, headings, folded tables, the panel


def test_self_contained(tmp_path: Path, labels: pd.DataFrame, history: pd.DataFrame, load: Any) -> None:
    page = write(tmp_path, labels, load, panels=[training_curves({"gum": history})])
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert all(source.startswith(("data:image/", "#")) for source in page.sources)
    figure, *thumbnails = [base64.b64decode(source.partition(",")[2]) for source in page.sources if source[0] != "#"]
    assert figure == (tmp_path / "figures" / "training_curves.png").read_bytes()
    assert [picture[:2] for picture in thumbnails] == [b"\xff\xd8"] * 3  # JPEG
    assert "http" not in re.sub(r"http-equiv", "", (tmp_path / "report.html").read_text("utf-8"))
    assert "warm-up" in page.text  # the figure's own caption


def test_every_link_of_the_page_has_its_place(tmp_path: Path, labels: pd.DataFrame, history: pd.DataFrame) -> None:
    page = write(tmp_path, labels, panels=[training_curves({"gum": history})])
    content = (tmp_path / "report.html").read_text("utf-8")
    links = [source for source in page.sources if source.startswith("#")]
    assert len(links) == 4  # figures, suspects, numbers, configuration
    assert all(f'id="{link[1:]}"' in content for link in links)


def test_headlines(tmp_path: Path, labels: pd.DataFrame) -> None:
    page = write(tmp_path, labels, unit="mm")
    assert "Predictions are off by 1.40 mm on average. 28.5 % of the training labels are suspect" in page.text
    for text in ("1.2 %", "failure rate", "above the threshold", "network.width", "noise gum", "faces/0.png"):
        assert text in page.text
    assert "truly wrong (the truth is known)" not in page.text  # no precision, no card


def test_only_the_first_rows_are_shown(tmp_path: Path, labels: pd.DataFrame) -> None:
    many = pd.concat([labels.assign(suspect=True)] * 5, ignore_index=True)
    page = write(tmp_path, many)
    assert "The worst 50 of 90" in page.text
    assert page.tags.count("tr") == 1 + 50 + 4 + 2
    assert "No label is suspect." in write(tmp_path, many.assign(suspect=False)).text


def test_coordinates_are_joined_and_scalars_shown(tmp_path: Path, labels: pd.DataFrame) -> None:
    listed = suspects(labels)
    page = write(tmp_path, labels)
    assert "predicted_x" not in page.text
    assert f"{listed.x[0]:.1f}, {listed.y[0]:.1f}" in page.text
    scalar = pd.DataFrame({"row": [7], "value": [31.0], "predicted": [60.0], "trust": [0.001], "residual": [29.0],
                           "suspect": [True]})  # fmt: skip
    text = write(tmp_path, scalar).text
    assert re.search(r"given\s*predicted\s*trust\s*residual\s*1\s*7\s*31\.0\s*60\.0\s*< \.01", text)


def test_two_panels_of_one_name_are_refused(tmp_path: Path, labels: pd.DataFrame, history: pd.DataFrame) -> None:
    panels = [training_curves({"gum": history}), training_curves({"l2": history})]
    with pytest.raises(ValueError, match="write_page: expected panels of different names, got 2 called 'training_cur"):
        write(tmp_path, labels, panels=panels)
    assert not (tmp_path / "report.html").exists()


def test_comparison(tmp_path: Path, results: dict[str, dict[str, Any]]) -> None:
    path = write_comparison_page(tmp_path, config={"seed": 0}, results={**results, EVIL: {}}, panels=[], unit="px")
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
    panels = label_panels({"gum": history}, labels, load)
    page = write(tmp_path / "run", labels, load, panels=panels)
    assert page.tags.count("img") == 3 + 3  # figures, and a thumbnail for each suspect
    assert sorted(path.name for path in (tmp_path / "run" / "figures").iterdir()) == [
        "suspects_gallery.png", "training_curves.png", "trust_histogram.png",
    ]  # fmt: skip
    assert not any(panel.figure.axes for panel in panels)  # closed
    panels = [failure_bars(results), gallery(labels, load, of="GUM"), error_cdf(results, threshold=3.0)]
    panels += [training_curves({"gum": history})]
    page = Page(write_comparison_page(tmp_path / "all", config={}, results=results, panels=panels))
    assert page.tags.count("figure") == 4
    assert "The worst suspects of GUM." in page.text


def test_whole_page_of_a_table(tmp_path: Path, labels: pd.DataFrame, history: pd.DataFrame) -> None:
    table = labels.rename(columns={"image": "row"})
    page = write(tmp_path, table, panels=label_panels({"l2": history}, table))
    assert page.tags.count("img") == 2


def hardest(name: str) -> pd.DataFrame:
    return pd.DataFrame({"image": ["a.png", "b.png"], "label": name, "predicted": "dog", "probability": [0.001, 0.25]})


def test_a_page_of_classes(tmp_path: Path, labels: pd.DataFrame, load: Any) -> None:
    history = pd.DataFrame({"epoch": [1, 2], "val_top1": [0.2, 0.4], "val_loss": [3.0, 2.0]})
    table = hardest(EVIL)
    panels = [
        validation_curves({"ce": history}, "val_top1"), confusion_figure([[3, 1], [0, 4]], [EVIL, "dog"]),
        validation_curves({"ce": history}, "val_loss"), hardest_gallery(table, lambda _: load("faces/1.png")),
    ]  # fmt: skip
    score = {"images": 1234, "top1": 0.875, "top5": 1.0, "per_class": {EVIL: 0.75, "dog": 1.0}}
    page = write(tmp_path, labels, metrics={"test": score, "train": score | {"top1": 0.5}}, panels=panels,
                 listed=hardest_table(table))  # fmt: skip
    assert (
        "87.5 % of the 1 234 test images are classified right; for 100 % the label is among the first 2." in page.text
    )
    assert re.search(r"top-1, test\s*87\.5 %\s*1 234 images\s*top-1, train\s*50\.0 %", page.text)
    assert "The first 2 of 2 in hardest.csv" in page.text
    assert page.tags.count("img") == 4
    assert "script" not in page.tags
    assert page.text.count(EVIL) == 2 * 1 + 2  # the hardest, accuracies of classes


def words(panel: Panel) -> list[str]:
    """Everything that is written in a figure and about it."""
    panel.figure.draw_without_rendering()
    return [panel.title, panel.caption, *(text.get_text() for text in panel.figure.findobj(Text))]


def drawn(labels: pd.DataFrame, load: Any, history: pd.DataFrame, results: Any, unit: str) -> list[Panel]:
    scalar = pd.DataFrame({"image": ["faces/1.png"], "line": [3], "split": "train", "point": "age", "value": [31.25],
                           "predicted": [60.5], "residual": [29.25], "trust": [0.0], "suspect": [True]})  # fmt: skip
    label = torch.tensor([[[0.5, 0.1]], [[0.2, 0.9]]], dtype=torch.float64)
    found = calibration(torch.zeros_like(label), torch.eye(2, dtype=torch.float64).expand(2, 1, 2, 2), label, Squared())
    raced = {name: [history.assign(val_mean=history["val_error"], seconds=9.0)] for name in ("l2", "gum")}
    return [
        *label_panels({"gum": history}, labels, load, unit=unit), gallery(scalar, load, unit=unit),
        failure_bars(results, unit=unit), error_cdf(results, unit=unit),
        convergence_figure(raced, unit=unit), calibration_figure({"run": found}, unit=unit),
    ]  # fmt: skip


def test_without_a_unit_nothing_is_left_of_it(
    tmp_path: Path, labels: pd.DataFrame, load: Any, history: pd.DataFrame, results: dict[str, dict[str, Any]]
) -> None:
    """Every figure and page: no empty parentheses, no pixels, no blank before a stop."""
    stray = re.compile(r"px|\(\s*\)| [.,;](?!\d)| in[.,]| {2}")
    for panel in drawn(labels, load, history, results, " "):
        assert [text for text in words(panel) if stray.search(text)] == [], panel.name
    page = write(tmp_path, labels.rename(columns={"image": "row"}), unit="")
    compared = Page(write_comparison_page(tmp_path, config={}, results=results, panels=[], unit=""))
    said = [*page.lines, *compared.lines, *verdicts(summarise(RACED), unit=""), *fit_summary(labels, error_rate=0.1)]
    assert [text for text in said if stray.search(text)] == []


def test_captions_are_sentences_with_units(
    labels: pd.DataFrame, load: Any, history: pd.DataFrame, results: dict[str, dict[str, Any]]
) -> None:
    panels = drawn(labels, load, history, results, "mm")
    for panel in panels:
        assert re.fullmatch(r"[A-Z][^.].*[a-z0-9%)]\.", panel.caption), panel.caption
        assert re.fullmatch(r"[A-Z].*[^.]", panel.title), panel.title
        assert re.fullmatch(r"[a-z_0-9]+", panel.name), panel.name
    said = {text for panel in panels for text in words(panel)}
    assert {"validation error (mm)", "residual (mm)", "mean error (mm)", "error (mm)", "predicted (mm)"} <= said
    assert (
        "Median error (mm) of the validation labels after every epoch, and below it the share of these labels that "
        "are suspect. In the shaded epochs, the warm-up, no label is suspect yet."
    ) in said


def test_a_unit_is_text(
    tmp_path: Path, labels: pd.DataFrame, load: Any, history: pd.DataFrame, results: dict[str, dict[str, Any]]
) -> None:
    """Neither markup nor a formula, in figures that are drawn outside the style too."""
    odd = "$x^$\n<script>"
    for panel in drawn(labels, load, history, results, odd):
        assert any("$x^$ <script>" in text for text in words(panel)) or "gallery" in panel.name, panel.name
    page = write(tmp_path, labels, unit=odd)
    assert "Predictions are off by 1.40 $x^$ <script> on average." in page.text
    assert "script" not in page.tags


def test_points_and_scalars_in_one_table(tmp_path: Path, labels: pd.DataFrame, load: Any) -> None:
    age = pd.DataFrame({"image": ["faces/1.png"], "line": [3], "split": "train", "point": "age", "value": [31.25],
                        "predicted": [60.5], "residual": [29.25], "trust": [0.0], "suspect": [True]})  # fmt: skip
    both = pd.concat([labels.drop(columns="wrong"), age], ignore_index=True)
    page = write(tmp_path, both)
    assert re.search(r"age\s*31\.2\s*60\.5\s*29\.2\s*< \.01", page.text)
    assert len(gallery(both, load).figure.axes) == 3
