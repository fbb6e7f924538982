"""The public surface: every name has a test, importing costs nothing and changes nothing, names are lazy."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import steadfit

TESTS = Path(__file__).parent
SUBMODULES = ("penalties", "losses", "distributions", "noise", "corrupt", "lightning")
MODULES = ("steadfit", *(f"steadfit.{name}" for name in SUBMODULES))
HEAVY = (
    "lightning", "pytorch_lightning", "pandas", "scipy", "cv2", "matplotlib", "torchmetrics", "sklearn",
    "pyarrow", "typer", "rich", "jinja2", "yaml", "safetensors",
)  # fmt: skip


@cache
def mentioned() -> frozenset[str]:
    """Every name that the other test files import from steadfit or take from one of its modules (steadfit.mad)."""
    homes = {name.removeprefix("steadfit.") for name in MODULES} | {"errors"}
    names: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        if path == Path(__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "steadfit":
                names |= {alias.name for alias in node.names} | set((node.module or "").split("."))
            elif isinstance(node, ast.Attribute):
                owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
                names |= {node.attr} if owner in homes else set()
    return frozenset(names)


def public() -> list[tuple[str, str]]:
    return [(module, name) for module in MODULES for name in importlib.import_module(module).__all__]


@pytest.mark.parametrize(("module", "name"), public(), ids=lambda v: v)
def test_every_public_name_exists_and_has_a_case(module: str, name: str) -> None:
    assert getattr(importlib.import_module(module), name) is not None
    if name == "__version__":
        assert steadfit.__version__.count(".") == 2
    elif f"{module}.{name}" not in MODULES:  # a module's names are looked at one by one
        assert name in mentioned(), f"{module}.{name} is public and no test uses it"


@pytest.mark.parametrize("module", [m for m in MODULES if m != "steadfit"])
def test_all_lists_what_is_public(module: str) -> None:
    listed = importlib.import_module(module).__all__
    assert len(set(listed)) == len(listed)
    assert listed == sorted(listed, key=lambda name: (not name.isupper(), not name[0].isupper(), name))


def test_the_penalties_and_losses_of_the_design() -> None:
    table = {
        "penalties": "Squared Absolute Huber Tukey Charbonnier Cauchy Welsch GemanMcClure StudentT Barron",
        "losses": "RobustLoss EllipticalLoss AnchorLoss HeatmapAnchorLoss FocalLoss OHEMLoss",
        "distributions": "Elliptical MultivariateHuber MultivariateLaplace MultivariateCharbonnier",
        "noise": "L2 L1 HuberNoise TukeyNoise GaussianUniformNoise PredictedNoise PredictedMixtureNoise",
        "corrupt": "ngo l_ugo g_ugo swap gaussian symmetric",
        "lightning": "RefitNoise",
    }
    for module, names in table.items():
        assert set(names.split()) <= set(getattr(steadfit, module).__all__)
    assert {"mad", "GaussianUniform", "load"} <= set(steadfit.__all__)
    assert list(steadfit.noise.NOISE_MODELS)[:5] == ["l2", "l1", "huber", "tukey", "gum"]


def test_names_are_listed_and_unknown_ones_refused() -> None:
    assert dir(steadfit) == sorted(steadfit.__all__)
    with pytest.raises(AttributeError, match="module 'steadfit' has no attribute 'RobustLose'"):
        _ = steadfit.RobustLose


PROBE = """
import json, logging, os, random, signal, sys, time, warnings
begin = time.perf_counter()
import numpy, torch
torch_seconds = time.perf_counter() - begin

def state():
    return [
        str(torch.get_default_dtype()), torch.get_num_threads(), torch.is_grad_enabled(), torch.initial_seed(),
        torch.get_rng_state().sum().item(), torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark, repr(torch._tensor_str.PRINT_OPTS),
        hash(random.getstate()), repr(numpy.random.get_state()), repr(numpy.geterr()), repr(numpy.get_printoptions()),
        repr(warnings.filters), len(logging.root.handlers), logging.root.level, sorted(os.environ.items()),
        os.getcwd(), list(sys.path), repr(signal.getsignal(signal.SIGINT)), repr(sys.excepthook),
    ]

before, loaded = state(), set(sys.modules)
begin = time.perf_counter()
import steadfit
{names}
seconds = time.perf_counter() - begin
print(json.dumps({{
    "share": seconds / torch_seconds, "same": repr(state()) == repr(before), "new": sorted(set(sys.modules) - loaded),
}}))
"""


def probe(names: str = "") -> dict[str, object]:
    """Import steadfit in a fresh interpreter, after torch; "share" is of the seconds that torch took."""
    code = PROBE.format(names=names)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def heavy(found: dict[str, object]) -> list[str]:
    return [name for name in found["new"] if name.split(".")[0] in HEAVY]  # type: ignore[attr-defined]


def test_importing_costs_nothing_beyond_torch() -> None:
    found = [probe()]
    while min(f["share"] for f in found) >= 0.1 and len(found) < 3:  # type: ignore[type-var]
        found.append(probe())  # a busy machine: the smallest counts
    assert min(f["share"] for f in found) < 0.1  # type: ignore[type-var]  # about .001
    assert heavy(found[0]) == []
    assert found[0]["new"] == ["steadfit"], "the names are lazy"
    assert found[0]["same"] is True


def test_the_core_needs_torch_and_numpy_only_and_changes_nothing() -> None:
    names = "GaussianUniform, corrupt, distributions, errors, fuse, losses, mad, noise, penalties, spd_from_vector"
    found = probe(f"from steadfit import {names}")
    assert heavy(found) == []
    assert found["same"] is True
