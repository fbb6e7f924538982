"""What the command line reads of the models' source is what the models declare."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from steadfit._options import options_of
from steadfit.cli.declared import Source, formats, models, options
from steadfit.data.formats.finding import FORMATS
from steadfit.noise import NOISE_MODELS
from steadfit.outputs import Classes, Distributions, Heatmaps, Positions
from steadfit.training import Settings

OUTPUTS = (Positions, Distributions, Heatmaps, Classes)


def declared(model: Any) -> dict[str, tuple[Any, Any]]:
    return {name: (field.default, known) for name, (field, known) in options_of(model).items()}


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: output.name)
def test_outputs(output: Any) -> None:
    read = {name: (one.default, one.option) for name, one in models("outputs")[output.name].items()}
    assert read == declared(output)


def test_settings() -> None:
    classes = {
        name: (node, Source.of("training.settings")) for name, node in Source.of("training.settings").classes().items()
    }
    read = {name: (one.default, one.option) for name, one in options("Settings", classes).items()}
    assert read == declared(Settings)


def test_noise_models() -> None:
    read = models("noise")
    for name, make in NOISE_MODELS.items():
        model = make()
        assert {key: (one.default, one.option) for key, one in read[model.name].items()} == declared(model), name


def test_types_are_those_of_the_fields() -> None:
    for name, one in models("outputs")["heatmaps"].items():
        assert one.type == {field.name: field.type for field in dataclasses.fields(Heatmaps)}[name]


def test_the_page_on_the_command_line_lists_what_is_declared() -> None:
    script = Path(__file__).parents[2] / "docs" / "make_options.py"
    shown = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr


def test_nothing_heavy_is_imported() -> None:
    code = (
        "from steadfit.cli.declared import models; import sys; "
        "assert models('noise') and models('outputs'); "
        "print([name for name in ('torch', 'numpy', 'lightning') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout.strip() == "[]"


def test_the_formats_in_the_help_are_those_of_the_modules() -> None:
    modules = {(one.NAME, one.ABOUT.title, one.ABOUT.writes, one.ABOUT.sample == "original") for one in FORMATS}
    assert {(one.name, one.title, one.writes, one.original) for one in formats()} == modules
