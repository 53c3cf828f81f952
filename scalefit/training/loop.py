"""The training loop: pure, idempotent and resumable.

``train(config)`` gives the same record whether it ran in one go, was killed ten times, or was already
there. On one CPU thread the same means bitwise: batches, dropout and schedule are functions of the step
alone, and a checkpoint holds the weights, both moments and the sums that the next curve record needs.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from scalefit.errors import ArgumentError
from scalefit.training import checkpoint, distributed, steps
from scalefit.training.config import RunConfig
from scalefit.training.data.batches import Batches
from scalefit.training.data.corpus import IGNORE, Corpus, open_corpus
from scalefit.training.evaluation import evaluate
from scalefit.training.models.build import Built, build_model
from scalefit.training.optimizer import FlatAdamW
from scalefit.training.provenance import provenance
from scalefit.training.rows import make_row
from scalefit.training.segments import Segment, curve_steps, make_path
from scalefit.training.store import RESULT_FORMAT, RunFolder, RunRecord, StoreError

Progress = Callable[[dict[str, Any]], None]

#: A member whose smoothed loss rises so far above where it began has diverged [nat/token]; one spike has not.
DIVERGED_BY = 1.0
SMOOTHING = 0.95
#: How often the lease is renewed [s].
SIGN_OF_LIFE = 20.0
#: Steps that a device may have in hand before the host reads their losses.
STEPS_IN_FLIGHT = 50


def train(config: RunConfig, store: str | FilePath = "scalefit_runs", progress: Progress | None = None) -> RunRecord:
    """Train one run to its end, or return it where it is already finished.

    Parameters
    ----------
    config : RunConfig
        The whole input.
    store : path
        Folder of runs and corpora; made where absent.
    progress : callable, optional
        Called with a mapping (step, n_steps, warmup_steps, tokens, train_loss) about once a second, and with
        val_loss, lr and grad_norm too at each curve record.

    Returns
    -------
    RunRecord
        Its rows; a run that diverged, met a NaN or ran out of memory has that status and is returned too.

    Raises
    ------
    ArgumentError
        The config does not fit the corpus.
    DataError
        The corpus or the store cannot be read or written, or another live worker holds the run.
    """
    if not isinstance(config, RunConfig):
        raise ArgumentError(f"config is a {type(config).__name__}; nothing was run. Make a RunConfig.")
    world = distributed.start(config.runtime.device)
    root = FilePath(store)
    with world.first():  # one process builds the corpus, the others then find it
        corpus = open_corpus(config.corpus, root / "corpora")
    folder = RunFolder(root / "runs" / config.run_id(corpus.sha))
    if folder.finished:
        world.leave()
        return folder.read_record()
    if world.is_first and not folder.acquire():
        raise StoreError(
            f"Another worker holds {folder.path}; this one did nothing. If it is dead, its lease runs out within "
            "five minutes."
        )
    try:
        _Run(config, corpus, folder, world, progress).complete()
        world.barrier()  # not after an error: the others would wait for ever instead of being ended by torchrun
    finally:
        if world.is_first:
            folder.release()
    record = folder.read_record()
    world.leave()
    return record


class _Run:
    """One run in memory."""

    def __init__(
        self,
        config: RunConfig,
        corpus: Corpus,
        folder: RunFolder,
        world: distributed.World,
        progress: Progress | None,
    ) -> None:
        self.config, self.corpus, self.folder = config, corpus, folder
        self.world, self.progress, self.device = world, progress, world.device
        self.length, self.batch = corpus.row_length(config.model.T_max), config.optimizer.batch_size
        if self.batch % world.size:
            raise ArgumentError(
                f"batch_size = {self.batch} does not divide into {world.size} processes; nothing was run. Use a "
                f"multiple of {world.size}."
            )
        self.run_id = config.run_id(corpus.sha)
        self.members = config.members
        self.batches = Batches(corpus, self.length, self.batch, [seed for _, seed in self.members])
        self.tokens_per_step = self.batch * corpus.tokens_per_row(self.length)
        self.rows: list[dict[str, Any]] = []
        self.status = ["finished"] * len(self.members)
        self.position = (0, -1)  # (segment, next step); -1: enter the segment
        self.sums = np.zeros(len(self.members))  # of the train loss since the last curve record
        self.n_summed = 0
        self.trunk_sums: tuple[npt.NDArray[np.float64], int] = (np.zeros(len(self.members)), 0)
        self.first_loss: npt.NDArray[np.float64] | None = None
        self.smoothed = np.zeros(len(self.members))
        self.seconds = 0.0
        self.trunk: dict[str, torch.Tensor] = {}
        self._norms = torch.zeros(len(self.members))
        self._pending: list[torch.Tensor] = []
        self.in_flight = 1 if self.device.type == "cpu" else STEPS_IN_FLIGHT

    def complete(self) -> None:
        started = time.monotonic()
        try:
            self._build()
            self._resume()
            if self.world.is_first:
                self.folder.write_json("config.json", self.config.to_dict())
                said = provenance(self.config, self.corpus, self.world)
                measured = {"step": self.mode, "step_seconds": self.mode_seconds}
                self.folder.write_json("provenance.json", {**said, **measured})
            self._walk(started)
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            self.status = ["oom"] * len(self.members)
            self._fill_missing_points()
            if self.world.size > 1:  # the others wait in a collective: record it for all, and let torchrun end them
                self._write_result(started)
                raise StoreError(
                    f"Process {self.world.rank} of {self.world.size} ran out of memory; the run is recorded as oom in "
                    f"{self.folder.path}. Use runtime.micro_batch, a smaller batch or more devices."
                ) from error
        if self.world.is_first:
            self._write_result(started)

    def _write_result(self, started: float) -> None:
        self.seconds += time.monotonic() - started
        worst = next((name for name in ("oom", "nan", "diverged") if name in self.status), "finished")
        self.folder.write_json(
            "result.json",
            {"format": RESULT_FORMAT, "run_id": self.run_id, "status": worst, "rows": self.rows,
             "seconds": self.seconds},
        )  # fmt: skip
        self.folder.checkpoint_path.unlink(missing_ok=True)

    def _build(self) -> None:
        optimizer = self.config.optimizer
        seeds = [seed for _, seed in self.members]
        self.built: Built = build_model(self.config.model, self.corpus.vocab_size, seeds)
        self.path = make_path(self.config.schedule, self.tokens_per_step, self.built.total)
        self.curve_at = curve_steps(self.path, self.config.evaluation.curve_points)
        self.model = self.built.module.to(self.device)
        beta2 = optimizer.beta2
        if beta2 is None:
            beta2 = 0.99 if self.tokens_per_step < 128_000 else 0.95
        self.optimizer = FlatAdamW(
            self.model, [lr for lr, _ in self.members], optimizer.beta1, beta2, optimizer.eps,
            optimizer.weight_decay, optimizer.clip,
        )  # fmt: skip
        self.mode, self.mode_seconds = self._choose_mode()
        self.forward = steps.prepare(self.world.wrap(self.model), self.mode)

    def _choose_mode(self) -> tuple[str, dict[str, float]]:
        """Return the step mode, and the seconds of each where it was chosen by measurement."""
        wanted = self.config.runtime.step
        if wanted != "auto":
            return wanted, {}
        if self.device.type != "cuda":
            return "eager", {}
        if self.world.size > 1:  # each process would measure, and choose, for itself
            return "compile", {}
        micro = self.config.runtime.micro_batch or self.batch
        inputs, targets = (self._to_device(array[..., :micro, :]) for array in self.batches.of(0))
        self.model.train()

        def losses(forward: Any) -> torch.Tensor:
            with self._autocast():
                result: torch.Tensor = forward(inputs, targets)
            return result

        return steps.fastest(self.model, losses, self.device, self.path.n_steps * -(-self.batch // micro))

    def _walk(self, started: float) -> None:
        runtime = self.config.runtime
        last_checkpoint = last_report = last_sign = time.monotonic()
        index, step = self.position
        while index < len(self.path.segments):
            segment = self.path.segments[index]
            if step < 0:
                step = segment.begin
                if segment.branch:
                    self.trunk = {name: buffer.clone() for name, buffer in self.optimizer.state().items()}
                    self._flush()
                    self.trunk_sums = (self.sums.copy(), self.n_summed)
                    self.sums[:], self.n_summed = 0.0, 0
            while step < segment.end and "finished" in self.status:
                self._step(segment, step)
                step += 1
                if not segment.branch and step in self.curve_at and step < segment.end:
                    self._record(segment, step)
                now = time.monotonic()
                if now - last_report > 1.0:
                    last_report = now
                    self._report(step)
                if now - last_sign > SIGN_OF_LIFE and self.world.is_first:
                    last_sign = now
                    self.folder.renew()
                # asked between flights only: the answer of the first process costs a wait for the device. Not at a
                # segment's end, whose record needs the gradient norm of its last step.
                between = not self._pending and step < segment.end
                if between and self.world.agree(now - last_checkpoint > runtime.checkpoint_every):
                    last_checkpoint = now
                    self._save((index, step), self.seconds + now - started)
            if "finished" not in self.status:
                break
            self._finish(segment)
            index, step = index + 1, -1
        self._fill_missing_points()

    def _step(self, segment: Segment, step: int) -> None:
        inputs, targets = self.batches.of(step)
        scored = (targets != IGNORE).sum(axis=(-1, -2))  # of the whole batch, so that processes weigh tokens alike
        if self.config.model.dropout:
            torch.manual_seed((step << 20) ^ (self.config.seeds[0] << 8) ^ self.world.rank)
        share = self.batch // self.world.size
        mine = slice(self.world.rank * share, (self.world.rank + 1) * share)
        inputs, targets = inputs[..., mine, :], targets[..., mine, :]
        micro = self.config.runtime.micro_batch or share
        self.optimizer.zero_grad()
        total = torch.zeros(len(self.members), device=self.device)
        weight = self._to_device((self.world.size / scored).astype(np.float32))
        self.model.train()
        for begin in range(0, share, micro):
            part = slice(begin, begin + micro)
            last = begin + micro >= share
            with self.world.accumulate(self.forward, last):
                with self._autocast():
                    losses = self.forward(self._to_device(inputs[..., part, :]), self._to_device(targets[..., part, :]))
                loss = losses.sum(dim=(-1, -2)) * weight
                loss.sum().backward()
            total += loss.detach()
        self._norms = self.optimizer.step(step + 1, self.path.multiplier(segment, step))
        self._pending.append(self.world.mean(total))
        if len(self._pending) >= self.in_flight:
            self._flush()

    def _to_device(self, array: npt.NDArray[Any]) -> torch.Tensor:
        """Copy without waiting: a copy from memory that is not pinned would stop the host until the step is done."""
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        return tensor if self.device.type == "cpu" else tensor.pin_memory().to(self.device, non_blocking=True)

    def _autocast(self) -> Any:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.runtime.dtype == "bfloat16")

    def _flush(self) -> None:
        """Add the pending losses one by one, in order, so that a resumed run sums in the same order."""
        for losses in [tensor.cpu().double().numpy() for tensor in self._pending]:
            if self.first_loss is None:
                self.first_loss = self.smoothed = losses
            self.smoothed = SMOOTHING * self.smoothed + (1 - SMOOTHING) * losses
            self.sums += losses
            self.n_summed += 1
            risen = self.smoothed > self.first_loss + DIVERGED_BY
            for member in [number for number, status in enumerate(self.status) if status == "finished"]:
                if not math.isfinite(losses[member]):
                    self.status[member] = "nan"
                elif risen[member]:
                    self.status[member] = "diverged"
        self._pending = []

    def _evaluate(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        def losses(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            with self._autocast():
                result: torch.Tensor = self.model(inputs, targets)
            return result

        self.model.eval()
        tokens = self.config.evaluation.tokens
        mean, error = evaluate(losses, self.corpus, self.length, self.batch, tokens, self.device)
        return mean, error

    def _record(self, segment: Segment, step: int, evaluated: Any = None) -> None:
        self._flush()
        mean, error = evaluated if evaluated is not None else self._evaluate()
        record = {
            "segment": f"branch-{segment.point}" if segment.branch else "trunk",
            "step": step,
            "tokens": round(step * self.tokens_per_step),
            "lr": [lr * self.path.multiplier(segment, step - 1) for lr, _ in self.members],
            "train_loss": (self.sums / max(1, self.n_summed)).tolist(),
            "val_loss": mean.tolist(),
            "val_se": error.tolist(),
            "grad_norm": self._norms.cpu().double().tolist(),
        }
        self.sums[:] = 0.0
        self.n_summed = 0
        if self.world.is_first:
            self.folder.append_curve(record)
        if self.progress is not None and self.world.is_first:
            self.progress({**record, **self._length()})

    def _finish(self, segment: Segment) -> None:
        """End a segment: score its point, keep its rows, and put the trunk back after a branch."""
        self._flush()
        if segment.point is None:
            if segment.end in self.curve_at:
                self._record(segment, segment.end)
            return
        mean, error = evaluated = self._evaluate()
        train_loss = self.sums / max(1, self.n_summed)
        self._record(segment, segment.end, evaluated)
        for member in range(len(self.members)):
            scores = (float(mean[member]), float(error[member]), float(train_loss[member]))
            self.rows.append(make_row(self, member, segment.end, *scores))
        last = segment.point == len(self.path.point_steps) - 1
        if last and self.config.runtime.keep_weights and self.world.is_first:
            weights = {name: value.detach() for name, value in self.model.named_parameters()}
            checkpoint.write(self.folder.weights_path, weights, json.dumps({"run_id": self.run_id}))
        if segment.branch:
            self.optimizer.load(self.trunk)
            self.trunk = {}
            self.sums[:], self.n_summed = self.trunk_sums

    def _fill_missing_points(self) -> None:
        """Record the points that were not reached, with the status that says why."""
        done = {(row["member"], row["steps"]) for row in self.rows}
        for step in self.path.point_steps if hasattr(self, "path") else ():
            for member in range(len(self.members)):
                if (member, step) not in done:
                    self.rows.append(make_row(self, member, step, math.nan, math.nan, math.nan))

    def _length(self) -> dict[str, int]:
        return {"n_steps": self.path.point_steps[-1], "warmup_steps": self.path.warmup}

    def _report(self, step: int) -> None:
        if self.progress is not None and self.world.is_first and self.n_summed:
            tokens = round(step * self.tokens_per_step)
            self.progress(
                {"step": step, "tokens": tokens, "train_loss": (self.sums / self.n_summed).tolist(), **self._length()}
            )  # fmt: skip

    def _save(self, position: tuple[int, int], seconds: float) -> None:
        self._flush()
        if not self.world.is_first:
            return
        tensors = dict(self.optimizer.state())
        tensors |= {f"trunk.{name}": buffer for name, buffer in self.trunk.items()}
        facts = {
            "run_id": self.run_id, "position": position, "rows": self.rows, "status": self.status,
            "sums": self.sums.tolist(), "n_summed": self.n_summed, "smoothed": self.smoothed.tolist(),
            "trunk_sums": self.trunk_sums[0].tolist(), "trunk_n_summed": self.trunk_sums[1],
            "first_loss": None if self.first_loss is None else self.first_loss.tolist(),
            "curve_size": self.folder.curve_size(), "seconds": seconds,
        }  # fmt: skip
        checkpoint.write(self.folder.checkpoint_path, tensors, json.dumps(facts))

    def _resume(self) -> None:
        found = checkpoint.read(self.folder.checkpoint_path, self.run_id)
        if found is None:
            self.folder.truncate_curve(0)
            return
        tensors, facts = found
        self.optimizer.load(tensors)
        self.trunk = {name[6:]: value.to(self.device) for name, value in tensors.items() if name[:6] == "trunk."}
        self.position = (facts["position"][0], facts["position"][1])
        self.rows, self.status = facts["rows"], facts["status"]
        self.sums, self.smoothed = np.array(facts["sums"]), np.array(facts["smoothed"])
        self.n_summed, self.seconds = facts["n_summed"], facts["seconds"]
        self.trunk_sums = (np.array(facts["trunk_sums"]), facts["trunk_n_summed"])
        self.first_loss = None if facts["first_loss"] is None else np.array(facts["first_loss"])
        if self.world.is_first:
            self.folder.truncate_curve(facts["curve_size"])


def _out_of_memory(error: BaseException) -> bool:
    """Whether a device or the host is full; a compiler, cuBLAS and the CPU allocator have words of their own."""
    said = ("allocate memory", "out of memory", "_ALLOC_FAILED")
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(words in str(error) for words in said)
