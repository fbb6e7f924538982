"""The table of docs/formats.md that lists the formats of annotations, from what their modules say about themselves.

python docs/make_formats.py           # rewrites the table in place
python docs/make_formats.py --check   # exit code 1 if it is not that of the modules
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from steadfit._files import write_text
from steadfit.data import WRITERS
from steadfit.data.formats.finding import ANNOTATIONS, NAMES

PAGE = Path(__file__).parent / "formats.md"
TABLE = re.compile(r"(<!-- formats -->\n\n)(?:\|[^\n]*\n)*")
HEAD = ("format", "what it is", "read", "written, round trip", "sample", "shift", "EXIF", "what gets lost")
EXIF = {"honour": "turned", "ignore": "as stored"}
TITLES = {
    "csv": "CSV tables",
    "parquet": "Parquet tables",
    "excel": "Excel tables (extra `excel`)",
    "cifar": "CIFAR-10 and CIFAR-100, binary version (classes)",
    "class-folders": "folders of images named after classes",
}
TABLES = ("csv", "parquet", "excel")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    page = PAGE.read_text(encoding="utf-8")
    made = TABLE.sub(lambda found: found[1] + table(), page)
    if not parser.parse_args().check:
        write_text(made, PAGE)
    elif made != page:
        sys.exit(f"{PAGE}: expected the table of the modules, got another one. Run python docs/make_formats.py.")


def table() -> str:
    """A table in Markdown, a row per format: those that are written first, then by name."""
    names = sorted(NAMES, key=lambda name: (name not in WRITERS, name not in TABLES, name))
    rows = [HEAD, ("---",) * len(HEAD), *(row(name) for name in names)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows) + "\n"


def row(name: str) -> tuple[str, ...]:
    """The cells of one format; the round trip of every format that is written is tested."""
    written, lost = ("yes", "nothing") if name in WRITERS else ("no", "-")
    if name not in ANNOTATIONS:
        shift = "`--origin`" if name in TABLES else "-"
        return f"`{name}`", TITLES[name], "yes", written, "original", shift, "turned", lost
    about = ANNOTATIONS[name].ABOUT
    shift = f"{about.shift:+g} px" if about.shift else "0"
    return (
        f"`{name}`",
        about.title,
        "yes",
        written,
        about.sample,
        shift,
        EXIF[about.exif],
        "; ".join(about.lost) or lost,
    )


if __name__ == "__main__":
    main()
