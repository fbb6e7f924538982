"""What is printed is shown as it is."""

from __future__ import annotations

import ast
import io
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

import steadfit
from steadfit._console import say, visible

ODD = ["[/mm]", "[red]px", "[bold]", "\\[x]", "µm [i]", ":smile:", "a" * 300, "http://x.y/1.5"]


def printed(what: object, **options: object) -> str:
    out = io.StringIO()
    say(Console(file=out, width=80, force_terminal=True, color_system=None), what, **options)
    return out.getvalue()


@pytest.mark.parametrize("text", ODD)
def test_texts_are_no_markup_and_are_not_broken(text: str) -> None:
    assert printed(text) == f"{text}\n"
    assert printed(text, style="bold").count(text) == 1


@pytest.mark.parametrize("text", ["[/mm]", "[red]px"])
def test_tables_are_no_markup(text: str) -> None:
    table = Table(f"mean ({text})")
    table.add_row(text)
    assert printed(table).count(text) == 2


@pytest.mark.parametrize(
    ("character", "shown"),
    [("\x1b", "\\x1b"), ("\x07", "\\x07"), ("\r", "\\r"), ("\u202e", "\\u202e"), ("\udcff", "\\udcff")],
)
def test_characters_that_act_on_a_terminal_are_shown(character: str, shown: str) -> None:
    assert printed(f"a{character}b") == f"a{shown}b\n"


def test_other_characters_stay() -> None:
    text = "Ünï — 日本語 👩\u200d🔧 \xa0…\nsecond line"
    assert visible(text) == text


def test_without_a_console_nothing_is_said() -> None:
    say(None, "x")


def test_everything_is_printed_by_say() -> None:
    """No other call prints: markup would come back with it."""
    root = Path(steadfit.__file__).parent
    calls = [
        f"{path.relative_to(root)}:{node.lineno}"
        for path in root.rglob("*.py")
        if path.name != "_console.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Name) and node.func.id == "print")
            or (isinstance(node.func, ast.Attribute) and node.func.attr == "print")
        )
    ]
    assert calls == []
