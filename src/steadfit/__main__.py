"""``python -m steadfit`` is the command line."""

from steadfit.cli import main

main()
