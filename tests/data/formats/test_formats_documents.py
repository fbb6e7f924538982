"""Documents are parsed once while a path is looked at."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from steadfit.data.formats.documents import json_at, parsed_once
from steadfit.errors import DataError


def test_a_document_is_parsed_once_in_a_block_and_again_after_it(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("[1]")
    with parsed_once():
        first = json_at(file)
        file.write_text("[2]")
        assert json_at(file) is first
    assert json_at(file) == [2]


@pytest.mark.parametrize("text", ["[1]", "[1"])
def test_the_collector_of_garbage_is_as_before_after_a_block(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    for before in (True, False):
        (gc.enable if before else gc.disable)()
        try:
            with parsed_once(), parsed_once():
                json_at(tmp_path / "a.json")
        except DataError:
            assert text == "[1"
        finally:
            after = gc.isenabled()
            gc.enable()
        assert after == before
