"""A script in a child process, with the modules of these tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

forked = pytest.mark.skipif(not torch.distributed.is_available() or os.name != "posix", reason="needs gloo and fork")


def says_the_same(script: str, folder: Path) -> None:
    """Runs a script that compares several processes with one, and prints so; it is given these tests' folder and its
    own."""
    path = folder / "two.py"
    path.write_text(script)
    result = subprocess.run(
        [sys.executable, str(path), str(Path(__file__).parent), str(folder)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert "the same" in result.stdout
