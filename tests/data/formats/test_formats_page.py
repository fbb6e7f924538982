"""The page on formats: a row for each format in its table, and a section about it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from steadfit.data.formats.finding import NAMES

DOCS = Path(__file__).parents[3] / "docs"


def test_the_table_is_what_the_modules_say() -> None:
    script = DOCS / "make_formats.py"
    shown = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr


def test_every_format_has_a_row_and_a_section() -> None:
    page = (DOCS / "formats.md").read_text(encoding="utf-8")
    headings = [name for line in page.splitlines() if line.startswith("### ") for name in re.findall("`(.+?)`", line)]
    rows = re.findall(r"^\| `(.+?)` \|", page, re.MULTILINE)
    assert sorted(rows) == sorted(NAMES)
    assert sorted(headings) == sorted(NAMES)
