"""A Lightning run killed with SIGKILL and resumed from its checkpoint ends with the same advice."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import scalefit as sf

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("lightning", reason="lightning is not installed")

RUN = """
import json, os, signal, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
import lightning.pytorch as pl
import torch
import scalefit as sf
from scalefit.integrations.lightning import AdviceCallback

folder, kill_at = Path(sys.argv[1]), int(sys.argv[2])

class Line(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
        self.trained = 0  # steps of this process: a checkpoint does not hold them
    def loss(self, batch):
        return torch.nn.functional.mse_loss(self.layer(batch), batch.sum(dim=1, keepdim=True))
    def training_step(self, batch, index):
        if self.global_step == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.trained += 1
        return self.loss(batch)
    def validation_step(self, batch, index):
        self.log("val_loss", self.loss(batch))
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05)

torch.manual_seed(0)
torch.set_num_threads(1)
data = torch.utils.data.DataLoader(torch.randn(64, 4), batch_size=8)
plan = sf.RunPlan(schedule=sf.Schedule.constant(96), pretrained=False)
advice = AdviceCallback(plan, train_every=2)
saved = pl.callbacks.ModelCheckpoint(dirpath=folder, save_last=True, every_n_epochs=1, save_on_train_epoch_end=False)
trainer = pl.Trainer(
    max_epochs=12, accelerator="cpu", logger=False, enable_progress_bar=False, callbacks=[advice, saved],
    enable_model_summary=False, default_root_dir=folder,
)
last = folder / "last.ckpt"
line = Line()
trainer.fit(line, data, data, ckpt_path=str(last) if last.exists() else None)
told = {"advice": advice.advice.as_dict(), "curves": [len(advice.monitor.curve(name)[0]) for name in ("val", "train")]}
(folder / "told.json").write_text(json.dumps([line.trained, told]))
"""


def survive(folder, monkeypatch):
    """In this process, which spares a start of torch."""
    folder.mkdir(exist_ok=True)
    monkeypatch.setattr(sys, "argv", ["run", str(folder), "-1"])
    exec(compile(RUN, "run", "exec"), {"__name__": "run"})
    return json.loads((folder / "told.json").read_text())


def run(folder, kill_at):
    folder.mkdir()
    path = os.pathsep.join([str(Path(sf.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", RUN, str(folder), str(kill_at)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]


@pytest.mark.filterwarnings("ignore")  # Lightning's own
def test_killed_and_resumed_ends_with_the_same_advice(tmp_path, monkeypatch):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    trained, first = survive(whole, monkeypatch)
    run(killed, kill_at=67)  # in the ninth epoch, three steps after a checkpoint
    resumed, second = survive(killed, monkeypatch)
    assert (trained, resumed) == (96, 96 - 64)
    assert first == second and first["curves"][0] == 12
    assert "plan_differs" not in {reason["code"] for reason in second["advice"]["reasons"]}
