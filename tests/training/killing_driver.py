"""Trains in child processes that kill themselves with SIGKILL at given points, and resumes them.

    python killing_driver.py folder scenarios.json

A scenario is {"name", "data", "schema", "settings", "dropout", "kills"}; a kill is ["batch", epoch, batch] (inside a
training step) or [file name, n, "before" | "after"] (the n-th time the file is put in place; before: while its
temporary file is half written). The children are forked, so that the imports are paid once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from collections import Counter
from pathlib import Path

import torch

from steadfit.data import Schema, load_annotations
from steadfit.training import Settings, TrainingModule, fit


def network(dropout: bool) -> torch.nn.Module | None:
    if not dropout:
        return None
    torch.manual_seed(5)
    return torch.nn.Sequential(torch.nn.Linear(3, 16), torch.nn.ReLU(), torch.nn.Dropout(0.3), torch.nn.Linear(16, 2))


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(kill: list) -> None:
    """Make this process kill itself at the point."""
    if kill[0] == "batch":
        step = TrainingModule.training_step

        def training_step(self, batch, batch_idx):
            if [self.current_epoch, batch_idx] == kill[1:]:
                die()
            return step(self, batch, batch_idx)

        TrainingModule.training_step = training_step
        return
    replace, seen = os.replace, Counter()

    def put(source, target):
        name = Path(target).name
        seen[name] += 1
        if [name, seen[name]] == kill[:2] and kill[2] == "before":
            os.truncate(source, os.path.getsize(source) // 2)
            die()
        replace(source, target)
        if [name, seen[name]] == kill[:2]:
            die()

    os.replace = put


def in_child(work) -> int:
    """The child's wait status."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def main(root: Path, scenarios: list) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for scenario in scenarios:
        annotations = load_annotations(
            scenario["data"], Schema.from_dict(scenario["schema"]) if scenario["schema"] else None
        )
        settings, out = Settings(**scenario["settings"]), root / scenario["name"]

        def train(out=out, annotations=annotations, settings=settings, dropout=scenario["dropout"]):
            fit(annotations, settings, out, resume=True, device="cpu", network=network(dropout))

        for kill in scenario["kills"]:

            def doomed(kill=kill, train=train):
                arm(kill)
                train()

            status = in_child(doomed)
            assert os.WIFSIGNALED(status), f"{scenario['name']}: {kill} was never reached, status {status}"
            assert os.WTERMSIG(status) == signal.SIGKILL
        status = in_child(train)
        assert status == 0, f"{scenario['name']}: the resumed run failed"


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))
