"""The training loop: pure, idempotent and resumable.

``train(config)`` gives the same record whether it ran in one go, was killed ten times, or had finished before: on a CPU
thread bitwise, but for times and memory. Batches, dropout and schedule are functions of the step alone.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any

import torch

from scalefit.errors import ArgumentError
from scalefit.training import checkpoint, distributed, steps
from scalefit.training.config import RunConfig
from scalefit.training.curve_logs import Logs, open_logs
from scalefit.training.data.corpus import Corpus, open_corpus
from scalefit.training.ending import Ending, asked_to_end
from scalefit.training.losses import STEPS_IN_FLIGHT, LossRecord
from scalefit.training.provenance import provenance
from scalefit.training.remote import open_store
from scalefit.training.rows import RunFacts, Score, make_row
from scalefit.training.segments import Path, Segment, curve_steps, make_path
from scalefit.training.store import RESULT_FORMAT, RunFolder, RunRecord, Store, StoreError
from scalefit.training.trainer import Trainer

log = logging.getLogger("scalefit")

Progress = Callable[[dict[str, Any]], None]

#: How often the lease is renewed [s].
SIGN_OF_LIFE = 20.0


def train(
    config: RunConfig, store: str | FilePath | Store = "scalefit_runs", progress: Progress | None = None
) -> RunRecord:
    """Train one run to its end, or return its record if it is already finished.

    Parameters
    ----------
    config : RunConfig
        The run; nothing else decides its result.
    store : path or str
        Folder of runs and corpora, created if missing; or an address for fsspec, such as ``s3://bucket/runs``.
    progress : callable, optional
        Called with a mapping (step, n_steps, warmup_steps, tokens, train_loss) about once a second, and with
        val_loss, lr and grad_norm too at each curve record.

    Returns
    -------
    RunRecord
        Its rows and status; a run that diverged, met a NaN or ran out of memory is returned too, with that status.

    Raises
    ------
    ArgumentError
        The config does not fit the corpus.
    DataError
        The corpus or the store cannot be read or written, or another live worker holds the run.
    SystemExit, KeyboardInterrupt
        The process got SIGTERM or SIGINT: the run is saved after the current micro-batch, and continues from there
        when it is started again. A second SIGINT ends it at once.
    """
    if not isinstance(config, RunConfig):
        raise ArgumentError(f"config is a {type(config).__name__}", "nothing was run", "Make a RunConfig")
    world = distributed.start(config.runtime.device)
    place = open_store(store)
    with world.first():  # one process builds the corpus, the others then find it
        corpus = open_corpus(config.corpus, place.root / "corpora")
    folder = place.folder(config.run_id(corpus.sha))
    if folder.finished:
        world.leave()
        return folder.read_record()
    with asked_to_end() as ending:  # before the lease is taken: whoever is ended from here on gives it back
        if world.is_first and not folder.acquire():
            raise StoreError(
                f"Another worker holds {folder.path}",
                "this one did nothing",
                "Wait for it; if it is dead, its lease runs out within five minutes",
            )
        try:
            ending.saves = False
            if ending.asked and world.size == 1:
                ending.leave()
            with folder.kept_alive(SIGN_OF_LIFE if world.is_first else None):
                ended = False
                try:
                    _Run(config, corpus, folder, world, progress, ending).complete()
                except _Ended:
                    ended = True
                if ended:  # outside of the handler, which keeps the run in memory
                    world.leave()
                    ending.leave()
                world.barrier()  # not after an error: the others would wait for ever instead of being ended by torchrun
                if ending.asked and world.size == 1:  # when the run was as good as finished
                    ending.leave()
        finally:
            if world.is_first:
                folder.release()
    record = folder.read_record()
    world.leave()
    return record


class _Ended(Exception):
    """Every process saved the run, as a signal asked."""


class _Left(Exception):
    """A step or an evaluation was left between two micro-batches; nothing of it is kept."""


class _Run:
    """One run in memory."""

    def __init__(
        self,
        config: RunConfig,
        corpus: Corpus,
        folder: RunFolder,
        world: distributed.World,
        progress: Progress | None,
        ending: Ending,
    ) -> None:
        self.config, self.corpus, self.folder = config, corpus, folder
        self.world, self.progress, self.ending = world, progress, ending
        if config.optimizer.batch_size % world.size:
            raise ArgumentError(
                f"batch_size = {config.optimizer.batch_size} does not divide into {world.size} processes",
                "nothing was run",
                f"Use a multiple of {world.size}",
            )
        self.run_id = config.run_id(corpus.sha)
        self.members = config.members
        self.rows: list[dict[str, Any]] = []
        self.position = (0, -1)  # (segment, next step); -1: enter the segment
        self.due = False  # whether the curve record of the last step is still to be made
        self.losses = LossRecord(len(self.members), 1 if world.device.type == "cpu" else STEPS_IN_FLIGHT)
        self.seconds = 0.0
        self.trunk: dict[str, torch.Tensor] = {}
        self.path: Path | None = None
        self.logs: Logs | None = None
        self._norms = torch.zeros(len(self.members))

    def complete(self) -> None:
        self.started = time.monotonic()
        try:
            self._build()
            self._resume()
            if self.world.is_first:
                self.folder.write_json("config.json", self.config.to_dict())
                origin = provenance(self.corpus, self.world, self.trainer.dtype)
                measured = {"step": self.trainer.mode, "step_seconds": self.trainer.mode_seconds}
                self.folder.write_json("provenance.json", {**origin, **measured})
                self.logs = open_logs(self.config, self.folder.path)
            self._walk()
        except (MemoryError, RuntimeError) as error:
            if not steps.out_of_memory(error):
                raise
            self.losses.status = ["oom"] * len(self.members)
            self._fill_missing_points()
            if self.world.size > 1:  # the others wait in a collective: record it for all, and let torchrun end them
                self._write_result()
                raise StoreError(
                    f"Process {self.world.rank} of {self.world.size} ran out of memory",
                    f"the run is recorded as oom in {self.folder.path}",
                    "Use runtime.micro_batch, a smaller batch or more devices",
                ) from error
        finally:
            if self.logs is not None:
                self.logs.close()
        if self.world.is_first:
            self._write_result()

    def _elapsed(self) -> float:
        """Seconds of this run so far, those before a resume included [s]."""
        return self.seconds + time.monotonic() - self.started

    def _write_result(self) -> None:
        status = self.losses.status
        worst = next((name for name in ("oom", "nan", "diverged") if name in status), "finished")
        self.folder.write_json(
            "result.json",
            {"format": RESULT_FORMAT, "run_id": self.run_id, "status": worst, "rows": self.rows,
             "seconds": self._elapsed()},
        )  # fmt: skip
        self.folder.drop_checkpoint()

    def _build(self) -> None:
        self.trainer = trainer = Trainer(self.config, self.corpus, self.world)
        self.tokens_per_step = trainer.tokens_per_step
        machine = trainer.machine()
        self.facts = RunFacts(
            self.config, self.corpus, trainer.built, self.run_id, trainer.length, self.tokens_per_step, machine
        )
        log.info("run %s on %s in %s", self.run_id, machine["device"], machine["dtype"])
        self.path = make_path(self.config.schedule, self.tokens_per_step, trainer.built.total)
        self.curve_at = curve_steps(self.path, self.config.evaluation.curve_points)
        trainer.place(self.path.n_steps)

    def _walk(self) -> None:
        """Take all steps that are left; where asked to end, save the run and end."""
        self.ending.saves = True
        try:
            self._take_steps()
        except _Left:
            self._save(self.position)
            self.ending.leave()

    def _go_on(self) -> None:
        """Leave a step or an evaluation where the process was asked to end; several processes only leave together."""
        if self.ending.asked and self.world.size == 1:
            raise _Left

    def _take_steps(self) -> None:
        assert self.path is not None
        last_checkpoint = last_report = time.monotonic()
        index, step = self.position
        while index < len(self.path.segments):
            segment = self.path.segments[index]
            if step < 0:
                step = segment.begin
                self.position = (index, step)
                if segment.branch:
                    state = self.trainer.optimizer.state()
                    self.trunk = {name: buffer.clone() for name, buffer in state.items()}
                    self.losses.leave_trunk()
            while (step < segment.end and self.losses.alive) or self.due:
                if not self.due:
                    self._step(segment, step)
                    step += 1
                    self.position = (index, step)
                    self.due = not segment.branch and step in self.curve_at and step < segment.end
                if self.due:
                    self._record(segment, step)
                    self.due = False
                now = time.monotonic()
                if now - last_report > 1.0:
                    last_report = now
                    self._report(step)
                # asked between flights only: the answer of the first process costs a wait for the device. Not at a
                # segment's end, whose record needs the gradient norm of its last step.
                if self.losses.idle and step < segment.end:
                    ending = self.ending.asked
                    due = ending or now - last_checkpoint > self.config.runtime.checkpoint_every
                    if self.world.agree(due):
                        last_checkpoint = now
                        self._save((index, step))
                        if self.world.agree(ending):
                            raise _Ended
                    self.folder.check_lease()
            if not self.losses.alive:
                break
            self._finish(segment)
            index, step = index + 1, -1
        self._fill_missing_points()

    def _step(self, segment: Segment, step: int) -> None:
        assert self.path is not None
        with self.trainer.at_work():
            losses, self._norms = self.trainer.step(step, self.path.multiplier(segment, step), self._go_on)
            self.losses.add(losses)

    def _settle(self) -> None:
        """Wait for the losses of all steps in hand."""
        with self.trainer.at_work():
            self.losses.flush()

    def _record(self, segment: Segment, step: int, evaluated: Any = None) -> None:
        assert self.path is not None
        self._settle()
        mean, error = evaluated if evaluated is not None else self.trainer.evaluate(self._go_on)
        record = {
            "segment": f"branch-{segment.point}" if segment.branch else "trunk",
            "step": step,
            "tokens": round(step * self.tokens_per_step),
            "lr": [lr * self.path.multiplier(segment, step - 1) for lr, _ in self.members],
            "train_loss": self.losses.mean().tolist(),
            "val_loss": mean.tolist(),
            "val_se": error.tolist(),
            "grad_norm": self._norms.cpu().double().tolist(),
        }
        self.losses.restart()
        if self.world.is_first:
            self.folder.append_curve(record)
            if self.logs is not None:
                self.logs(record)
        if self.progress is not None and self.world.is_first:
            self.progress({**record, **self._length()})

    def _finish(self, segment: Segment) -> None:
        """End a segment: score its point, keep its rows, and put the trunk back after a branch."""
        assert self.path is not None
        self._settle()
        if segment.point is None:
            if segment.end in self.curve_at:
                self._record(segment, segment.end)
            return
        mean, error = evaluated = self.trainer.evaluate(self._go_on)
        train_loss = self.losses.mean()
        cost = {"seconds": self._elapsed(), **self.trainer.cost()}
        norms = self._norms.cpu().double().tolist()
        self._record(segment, segment.end, evaluated)
        for member, status in enumerate(self.losses.status):
            scores = (float(mean[member]), float(error[member]), float(train_loss[member]))
            score = Score(status, *scores, {**cost, "grad_norm": norms[member]})
            self.rows.append(make_row(self.facts, member, segment.end, score))
        last = segment.point == len(self.path.point_steps) - 1
        if last and self.config.runtime.keep_weights:
            weights = self.trainer.weights()
            if self.world.is_first:
                checkpoint.write(self.folder.weights_path, weights, json.dumps({"run_id": self.run_id}))
        if segment.branch:
            self.trainer.optimizer.load(self.trunk)
            self.trunk = {}
            self.losses.return_to_trunk()

    def _fill_missing_points(self) -> None:
        """Record the points that were not reached, with the status that says why."""
        done = {(row["member"], row["steps"]) for row in self.rows}
        for step in self.path.point_steps if self.path is not None else ():
            for member, status in enumerate(self.losses.status):
                if (member, step) not in done:
                    self.rows.append(make_row(self.facts, member, step, Score(status)))

    def _length(self) -> dict[str, int]:
        assert self.path is not None
        return {"n_steps": self.path.point_steps[-1], "warmup_steps": self.path.warmup}

    def _report(self, step: int) -> None:
        if self.progress is not None and self.world.is_first and self.losses.n_read:
            tokens = round(step * self.tokens_per_step)
            means = self.losses.mean().tolist()
            self.progress({"step": step, "tokens": tokens, "train_loss": means, **self._length()})

    def _save(self, position: tuple[int, int]) -> None:
        self._settle()
        optimizer = self.trainer.optimizer
        tensors = dict(optimizer.gather(optimizer.state()))
        if self.trunk:
            tensors |= {f"trunk.{name}": buffer for name, buffer in optimizer.gather(self.trunk).items()}
        if not self.world.is_first:
            return
        facts = {
            "run_id": self.run_id, "position": position, "rows": self.rows, **self.losses.facts(),
            "curve_size": self.folder.curve_size(), "seconds": self._elapsed(),
            "busy": self.trainer.busy, "n_done": self.trainer.n_done, "due": self.due,
            "norms": self._norms.cpu().double().tolist(),
        }  # fmt: skip
        checkpoint.write(self.folder.checkpoint_path, tensors, json.dumps(facts))
        self.folder.keep_checkpoint()

    def _resume(self) -> None:
        found = checkpoint.read(self.folder.checkpoint_path, self.run_id)
        if found is None:
            if self.world.is_first:
                self.folder.truncate_curve(0)
            return
        tensors, facts = found
        optimizer = self.trainer.optimizer
        trunk = {name[6:]: tensors.pop(name) for name in list(tensors) if name[:6] == "trunk."}
        optimizer.load(optimizer.scatter(tensors))
        self.trunk = optimizer.scatter(trunk) if trunk else {}
        self.position = (facts["position"][0], facts["position"][1])
        self.rows, self.seconds, self.due = facts["rows"], facts["seconds"], facts.get("due", False)
        self._norms = torch.tensor(facts.get("norms", self._norms.tolist()), dtype=self._norms.dtype)
        self.trainer.busy, self.trainer.n_done = facts["busy"], facts["n_done"]
        self.losses.restore(facts)
        if self.world.is_first:
            self.folder.truncate_curve(facts["curve_size"])
