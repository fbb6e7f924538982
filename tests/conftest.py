"""Shared by all tests: fixed seeds, and float64 where a module asks for it."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from matplotlib.figure import Figure

os.environ["OMP_NUM_THREADS"] = "1"  # for pytest's workers and for the processes that tests start
torch.set_num_threads(1)  # tensors here are small: threads would only wait for each other

settings.register_profile(
    "steadfit",
    derandomize=True,  # the same examples in every run
    database=None,
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("steadfit")


@pytest.fixture(autouse=True, scope="session")
def coarse_figures() -> Iterator[None]:
    """Pictures are laid out and drawn in full, at 50 dots per inch instead of 150: a report takes a third less time."""
    save = Figure.savefig

    def coarse(self: Figure, *args: Any, **options: Any) -> None:
        save(self, *args, **options | {"dpi": min(options["dpi"], 50)})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", coarse)
        yield


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    """Every test draws the same numbers, alone or with the others."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - third parties draw from it
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def float64() -> Iterator[None]:
    """float64 as torch's default dtype in one module: ``pytestmark = pytest.mark.usefixtures("float64")``."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
