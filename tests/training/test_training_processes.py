"""Refits over several processes: the single process's mixture, scale and weights; a process that is lost."""

from __future__ import annotations

from pathlib import Path

from two_processes import forked, says_the_same

SUMS = """
import sys, warnings, torch, torch.distributed as dist, torch.multiprocessing as mp
from steadfit.noise import *
from steadfit.penalties import Cauchy
warnings.simplefilter("ignore")
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
N, K, D = 301, 3, 2


class CauchyNoise(PenaltyNoise):
    def penalty(self):
        return Cauchy()


models = [make() for make in NOISE_MODELS.values()] + [CauchyNoise(), TukeyNoise(scale="running")]
models += [GaussianUniformNoise(unit=unit) for unit in ("sample", "coordinate")]
models += [GaussianUniformNoise(covariance=kind) for kind in ("diagonal", "isotropic")]
models += [GaussianUniformNoise(volume=volume) for volume in ("moments", 900.0)]


def data(noise, n):
    draw = torch.Generator().manual_seed(n)
    target = torch.randn(n, K, D, generator=draw)
    wrong = torch.rand(n, K, generator=draw) < 0.3
    target[wrong] = 40 * torch.rand(int(wrong.sum()), D, generator=draw) - 20
    target[torch.rand(n, K, D, generator=draw) < 0.1] = torch.nan
    return 0.1 * torch.randn(n, noise.n_outputs(K, D), generator=draw), target


def refitted(noise, n, index=None, **options):
    tracker = LabelNoise(noise, n_samples=n, points=K, dims=D, by_trust=True)
    output, target = data(noise, n)
    part = slice(None) if index is None else index
    tracker.refit(output[part], target[part], index, **options)
    return tracker.state_dict()


def work(rank, size, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/{size}", rank=rank, world_size=size)
    processes = Group()
    for n in (N, 2):  # of two samples some processes have none
        index = torch.arange(n)[rank::size]
        if n == N:
            index = torch.cat([index, torch.tensor([0, n - 1]), index[:1]])  # samplers pad; one comes twice here
        for noise in models:
            found, wanted = refitted(noise, n, index, processes=processes), refitted(noise, n)
            for name in wanted:
                torch.testing.assert_close(found[name], wanted[name], rtol=1e-10, atol=1e-10, msg=f"{noise} {name}")
            if n == N and noise.needs_refit and getattr(noise, "unit", "") != "sample":  # nearly all of these are wrong
                assert float(found["label_weight"].min()) < 0.5, noise
    dist.destroy_process_group()


for size in (2, 4):
    mp.start_processes(work, args=(size, sys.argv[2]), nprocs=size, start_method="fork")
print("the same")
"""


@forked
def test_two_and_four_processes_give_what_one_gives(tmp_path: Path) -> None:
    """Every model, in float64: sums over other parts differ by rounding, 1e-16 a sum, and EM runs to a tolerance."""
    says_the_same(SUMS, tmp_path)


LOST = """
import os, signal, socket, sys, time, torch, warnings
import lightning as L, multiprocessing as mp
from lightning.pytorch.callbacks import ModelCheckpoint
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
from test_training_refit import Mine, RefitNoise, loader, make_data
from steadfit.noise import TukeyNoise
torch.set_num_threads(1)
EPOCHS, folder = 6, sys.argv[2]
last = os.path.join(folder, "last.ckpt")


class Mortal(Mine):
    def __init__(self, end):
        super().__init__(TukeyNoise(), n=40)
        self.end = end  # (epoch, signal) or None

    def noise_outputs(self, batch):
        if self.end is not None and self.current_epoch == self.end[0]:
            os.kill(os.getpid(), self.end[1])
        return super().noise_outputs(batch)


def work(rank, port, end):
    hangs = end is not None and end[1] == signal.SIGSTOP
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": str(rank), "NODE_RANK": "0"}
    sys.stderr = open(os.path.join(folder, f"stderr{rank}"), "w")
    trainer = L.Trainer(max_epochs=EPOCHS, accelerator="cpu", devices=2, strategy="ddp", logger=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
        callbacks=[RefitNoise(timeout=8 if hangs else 60), ModelCheckpoint(dirpath=folder, filename="last",
            enable_version_counter=False, save_on_train_epoch_end=True)])
    module = Mortal(end if rank == 1 else None)
    trainer.fit(module, loader(make_data(40)[0], batch_size=8), ckpt_path=last if os.path.exists(last) else None,
        weights_only=True)
    assert trainer.current_epoch == EPOCHS
    assert float((module.label_noise.state["scale"] == 1).sum()) == 0


def run(end):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = [mp.get_context("fork").Process(target=work, args=(rank, port, end)) for rank in (0, 1)]
    for process in both:
        process.start()
    both[0].join(60)
    if both[0].exitcode is None or end is not None:
        both[1].kill()
    both[1].join(60)
    for process in both:
        process.kill()
    return both[0].exitcode, both[1].exitcode, open(os.path.join(folder, "stderr0")).read()


for epoch, signal_ in ((1, signal.SIGKILL), (3, signal.SIGSTOP)):  # it has ended; it hangs
    code, _, text = run((epoch, signal_))
    assert code == 1, (code, text)
    assert "ProcessLostError: process 0 of 2: expected every process to take part in the refit" in text, text
    assert "resume from the last checkpoint" in text
    assert torch.load(last, weights_only=True)["epoch"] == epoch - 1
code, other, text = run(None)
assert code == other == 0, (code, other, text)
print("the same")
"""


@forked
def test_a_lost_process_ends_the_other_and_training_goes_on(tmp_path: Path) -> None:
    """One that is killed is noticed at once, one that hangs after the timeout; the checkpoint is resumed, twice."""
    says_the_same(LOST, tmp_path)
