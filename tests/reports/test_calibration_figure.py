"""The figure of calibration shows the results' own numbers, on axes where calibrated is a straight line."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from steadfit.metrics import Calibration, ConformalRadius, calibration, mahalanobis
from steadfit.penalties import Squared
from steadfit.reports.calibration_figure import calibration_figure
from steadfit.reports.palette import RIGHT, WRONG
from steadfit.reports.style import RC, save

Given = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def given(spread: float, rows: int = 60) -> Given:
    generator = torch.Generator().manual_seed(0)
    size = torch.exp(spread * torch.randn(rows, 2, 1, generator=generator, dtype=torch.float64))
    target = size * torch.randn(rows, 2, 2, generator=generator, dtype=torch.float64)
    return torch.zeros_like(target), torch.eye(2, dtype=torch.float64) / size.unsqueeze(-1), target


def results(spread: float = 1.0) -> dict[str, Calibration]:
    mean, root, target = given(spread)
    return {
        "before": calibration(mean, 2 * root, target, Squared()),
        "after": calibration(mean, root, target, Squared()),
    }


def test_three_panels_show_the_numbers() -> None:
    found = results()
    mean, root, target = given(1.0)
    rule = ConformalRadius(("a", "b"), mahalanobis(mean, root, target))
    conformal = rule.coverage(mahalanobis(mean, root, target), [0.2, 0.8])
    figure = calibration_figure(found, unit="mm", conformal=conformal).figure
    errors, shares, ranks = figure.axes
    assert errors.get_xlabel() == "expected error (mm)"
    points = [container.lines[0] for container in errors.containers]
    for line, colour, one in zip(points, (WRONG, RIGHT), found.values(), strict=True):
        assert to_hex(line.get_color()).upper() == colour
        np.testing.assert_allclose(line.get_xdata(), one.reliability.expected)
        np.testing.assert_allclose(line.get_ydata(), one.reliability.empirical)
    curves = [line for line in shares.lines if line.get_linestyle() == "-"]
    for line, one in zip(curves, found.values(), strict=True):
        np.testing.assert_allclose(line.get_ydata(), one.coverage.share)
    dotted = [line for line in shares.lines if line.get_linestyle() == ":"]
    np.testing.assert_allclose(dotted[0].get_ydata(), conformal.share)
    assert len(shares.collections) == 2  # the bands
    densities = [patch.get_data().values for patch in ranks.patches if hasattr(patch, "get_data")]
    np.testing.assert_allclose(densities[0], found["before"].pit.density)
    np.testing.assert_allclose(densities[-1], found["after"].pit.density)
    labels = [text.get_text() for text in figure.legends[0].texts]
    assert labels == ["before", "after", "conformal", "calibrated"]


def test_axes_are_square_and_logarithmic_where_errors_span_much() -> None:
    for spread, scale in ((1.0, "log"), (0.02, "linear")):
        axes = calibration_figure(results(spread)).figure.axes[0]
        assert axes.get_xscale() == axes.get_yscale() == scale
        assert axes.get_xlim() == axes.get_ylim()
        low, high = axes.get_xlim()
        assert low < min(axes.containers[0].lines[0].get_xdata())
        assert high > max(axes.containers[0].lines[0].get_ydata())
    ticks = [label.get_text() for label in calibration_figure(results(1.0)).figure.axes[0].get_xticklabels()]
    assert "1" in ticks
    assert not any("e" in tick or "$" in tick for tick in ticks)


def test_a_png_is_written_and_nothing_global_changes(tmp_path: object) -> None:
    before = {name: mpl.rcParams[name] for name in RC}
    path = save(calibration_figure(results()).figure, f"{tmp_path}/calibration.png", dpi=40)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert {name: mpl.rcParams[name] for name in RC} == before


@pytest.mark.parametrize("label", [None, 0.0])
def test_little_to_show(label: float | None) -> None:
    """No label at all; one label that equals its prediction."""
    target = torch.full((1, 1, 2), torch.nan if label is None else label, dtype=torch.float64)
    one = calibration(torch.zeros(1, 1, 2), torch.eye(2).expand(1, 1, 2, 2), target.float(), Squared())
    figure = calibration_figure({"run": one}).figure
    figure.draw_without_rendering()
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert texts == (["no label to compare with"] * 3 if label is None else [])


def test_the_number_of_results_is_checked() -> None:
    with pytest.raises(ValueError, match="calibration_figure: expected 1 to 4 results, got 0"):
        calibration_figure({})
    with pytest.raises(ValueError, match="expected 1 to 4 results, got 5"):
        calibration_figure(dict.fromkeys("abcde", results()["after"]))
