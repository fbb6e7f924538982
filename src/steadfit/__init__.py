"""Regression networks trained on labels that are partly wrong.

``import steadfit`` needs torch and numpy only and imports nothing heavier; every name below is loaded when it is
first used.

>>> import steadfit, torch
>>> round(float(steadfit.mad(torch.tensor([1.0, 2.0, 3.0]))), 4)
1.4826
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "GaussianUniform": "steadfit.core.mixture",
    "GaussianUniformResult": "steadfit.core.mixture",
    "fuse": "steadfit.core.fusion",
    "mad": "steadfit.core.scale",
    "spd_from_vector": "steadfit.core.linalg.spd",
    "load": "steadfit.training.opening",
    "read": "steadfit.data.exchange",
    "write": "steadfit.data.exchange",
}
_MODULES = ("corrupt", "distributions", "errors", "lightning", "losses", "noise", "penalties")

__all__ = [
    "GaussianUniform",
    "GaussianUniformResult",
    "__version__",
    "corrupt",
    "distributions",
    "errors",
    "fuse",
    "lightning",
    "load",
    "losses",
    "mad",
    "noise",
    "penalties",
    "read",
    "spd_from_vector",
    "write",
]

if TYPE_CHECKING:
    from steadfit import corrupt, distributions, errors, lightning, losses, noise, penalties
    from steadfit.core.fusion import fuse
    from steadfit.core.linalg.spd import spd_from_vector
    from steadfit.core.mixture import GaussianUniform, GaussianUniformResult
    from steadfit.core.scale import mad
    from steadfit.data.exchange import read, write
    from steadfit.training.opening import load


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"steadfit.{name}")
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'steadfit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
