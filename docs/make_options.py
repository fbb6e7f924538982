"""The tables of docs/cli.md that list the options of training, from the declarations that ``--help`` is made of.

python docs/make_options.py           # rewrites the tables in place
python docs/make_options.py --check   # exit code 1 if they are not those of the declarations
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from steadfit._files import write_text
from steadfit.cli.declared import Declared
from steadfit.cli.training import documented, of_noise, of_outputs, of_settings

PAGE = Path(__file__).parent / "cli.md"
OWNERS = {"settings": of_settings, "noise": of_noise, "outputs": of_outputs}
TABLE = re.compile(r"(<!-- options: (\w+) -->\n\n)(?:\|[^\n]*\n)*")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    page = PAGE.read_text(encoding="utf-8")
    made = TABLE.sub(lambda found: found[1] + table(OWNERS[found[2]]()), page)
    if not parser.parse_args().check:
        write_text(made, PAGE)
    elif made != page:
        sys.exit(f"{PAGE}: expected the tables of the declarations, got others. Run python docs/make_options.py.")


def table(owners: Mapping[str, Mapping[str, Declared]]) -> str:
    """A table in Markdown, a row per option."""
    rows = ["| option | meaning | default |", "|---|---|---|"]
    return "\n".join([*rows, *("| " + " | ".join(row) + " |" for row in documented(owners))]) + "\n"


if __name__ == "__main__":
    main()
