"""A real Trainer run of a small GPT-2, killed with SIGKILL and resumed, must end with the same advice.

    python benchmarks/stopping_resume.py [--steps 300] [--out FILE]

Each run is a process of its own; the killed one kills itself in the middle of a step.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def train(folder: Path, steps: int, kill_at: int | None, restore_flag: bool) -> None:
    """Train on a made-up Markov language; resume if the folder has a checkpoint."""
    import numpy as np
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments, set_seed
    from transformers.trainer_utils import get_last_checkpoint

    from scalefit.integrations.huggingface import AdviceCallback

    torch.set_num_threads(1)
    set_seed(0)
    rng = np.random.default_rng(0)
    vocabulary, length = 64, 32
    matrix = rng.dirichlet(np.full(vocabulary, 0.05), size=vocabulary)

    def sample(n: int) -> list[dict[str, torch.Tensor]]:
        token, rows = rng.integers(0, vocabulary, n), []
        for _ in range(length):
            rows.append(token)
            token = np.array([rng.choice(vocabulary, p=matrix[t]) for t in token])
        ids = torch.tensor(np.stack(rows, axis=1))
        return [{"input_ids": row, "labels": row} for row in ids]

    class Kill(TrainerCallback):
        began_at = -1

        def on_train_begin(self, args, state, control, **kwargs):
            self.began_at = state.global_step

        def on_step_begin(self, args, state, control, **kwargs):
            if kill_at is not None and state.global_step == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    config = GPT2Config(
        vocab_size=vocabulary, n_positions=length, n_embd=32, n_layer=2, n_head=2,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    every = max(steps // 30, 1)
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=steps, per_device_train_batch_size=8, learning_rate=3e-3,
        lr_scheduler_type="cosine", warmup_steps=steps // 20, eval_strategy="steps", eval_steps=every,
        logging_steps=every, save_steps=every * 5, save_total_limit=2, report_to=[], disable_tqdm=True,
        seed=0, use_cpu=True, restore_callback_states_from_checkpoint=restore_flag,
    )  # fmt: skip
    advice, kill = AdviceCallback(), Kill()
    trainer = Trainer(
        model=GPT2LMHeadModel(config), args=arguments, train_dataset=sample(400), eval_dataset=sample(32),
        callbacks=[advice, kill],
    )  # fmt: skip
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(folder)))
    live = next(c for c in trainer.callback_handler.callbacks if isinstance(c, AdviceCallback))
    assert live.advice is not None and live.monitor is not None
    done = {"advice": live.advice.as_dict(), "evaluations": len(live.monitor.curve("val")[0])}
    (folder / "advice.json").write_text(json.dumps({**done, "began_at": kill.began_at}))


def launch(folder: Path, steps: int, kill_at: int | None, restore_flag: bool) -> int:
    """Run `train` in a process of its own and return its exit status."""
    command = [sys.executable, __file__, "--worker", str(folder), "--steps", str(steps)]
    command += ["--kill-at", str(kill_at)] if kill_at is not None else []
    command += ["--restore-flag"] if restore_flag else []
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800)
    if done.returncode not in (0, -signal.SIGKILL):
        raise RuntimeError(done.stderr[-3000:])
    return done.returncode


def compare(steps: int, restore_flag: bool = False, in_process: bool = False) -> dict:
    """Train once without and once with a kill at two thirds, and compare the advice.

    `in_process` spares two starts of torch: only the run that is killed gets a process of its own.
    """
    with tempfile.TemporaryDirectory() as name:
        whole, killed = Path(name, "whole"), Path(name, "killed")
        survive = train if in_process else launch
        survive(whole, steps, None, restore_flag)
        status = launch(killed, steps, steps * 2 // 3 + 3, restore_flag)
        survive(killed, steps, None, restore_flag)
        first, second = (json.loads((f / "advice.json").read_text()) for f in (whole, killed))
    if not first.pop("began_at") < second.pop("began_at"):
        raise RuntimeError("the run that was killed began again")
    return {
        "steps": steps,
        "restore_callback_states_from_checkpoint": restore_flag,
        "killed_by_sigkill": status == -signal.SIGKILL,
        "same_advice": first == second,
        "action": first["advice"]["action"],
        "state": first["advice"]["state"],
        "final": first["advice"]["final"],
        "evaluations": first["evaluations"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--worker")
    parser.add_argument("--kill-at", type=int)
    parser.add_argument("--restore-flag", action="store_true")
    parser.add_argument("--out", default=str(Path(__file__).with_name("results") / "stopping_resume.json"))
    arguments = parser.parse_args()
    if arguments.worker:
        train(Path(arguments.worker), arguments.steps, arguments.kill_at, arguments.restore_flag)
        return
    result = [compare(arguments.steps, flag) for flag in (False, True)]
    Path(arguments.out).write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
