"""Compare a device with this machine's processor: families, dtypes, step modes, optimisers, resuming."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from scalefit.training import loop, steps
from scalefit.training.config import (
    CorpusConfig,
    EvaluationConfig,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    RuntimeConfig,
    ScheduleConfig,
)  # fmt: skip
from scalefit.training.data.corpus import Corpus, open_corpus
from scalefit.training.distributed import World, best_device
from scalefit.training.trainer import Trainer

#: Steps of a comparison, and the largest difference of losses that passes [nat/token]: by rounding, and by bfloat16.
N_STEPS, EXACT, COARSE = 8, 2e-4, 0.03


@dataclass(frozen=True)
class Check:
    """One comparison.

    `difference` is the largest between losses [nat/token], None if nothing could be compared; `failure` is the error.
    """

    name: str
    difference: float | None
    allowed: float
    seconds: float
    failure: str = ""

    @property
    def passed(self) -> bool:
        """Whether it ran and differs by no more than allowed."""
        return self.difference is not None and self.difference <= self.allowed

    def __str__(self) -> str:
        verdict = "ok  " if self.passed else "NOT "
        what = (
            self.failure if self.difference is None else f"differs by {self.difference:.1e}, {self.allowed:.0e} allowed"
        )
        return f"{verdict} {self.name}: {what} ({self.seconds:.1f} s)"


def check_device(
    device: str = "auto", seconds: float = 60.0, modes: Sequence[str] = steps.MODES, store: str | Path | None = None
) -> list[Check]:
    """Compare a device with the processor, on models of a few thousand parameters; what fails is reported, not raised.

    Parameters
    ----------
    device : str
        As in RuntimeConfig.
    seconds : float
        No new comparison begins after this time [s].
    modes : sequence of str
        Step modes to try.
    store : path, optional
        Folder for the small corpus; by default a temporary one.

    Raises
    ------
    ArgumentError
        The device is not available.

    Examples
    --------
    >>> all(check.passed for check in check_device("cpu", modes=("eager",)))
    True
    """
    place = best_device(device)
    started = time.monotonic()
    found: list[Check] = []
    with tempfile.TemporaryDirectory() as aside:
        root = Path(store or aside)
        corpus = open_corpus(_BASE.corpus, root / "corpora")
        for name, allowed, compare in _comparisons(corpus, root, place, modes):
            begun = time.monotonic()
            if begun - started > seconds:
                found.append(Check(name, None, allowed, 0.0, "left out, the time is up"))
                continue
            try:
                difference, text = compare(), ""
            except Exception as error:  # a compiler raises classes of its own
                difference, text = None, (str(error).splitlines() or [""])[0] or type(error).__name__
            found.append(Check(name, difference, allowed, time.monotonic() - begun, text))
    return found


_BASE = RunConfig(
    model=ModelConfig(n_layers=2, d_emb=64, n_heads=2, T_max=64),
    corpus=CorpusConfig(source="markov", n_states=64, n_tokens=60_000),
    optimizer=OptimizerConfig(lr=3e-3, batch_size=8),
    schedule=ScheduleConfig(tokens=(8_192, 16_384)),
    evaluation=EvaluationConfig(tokens=2_000, curve_points=4),
)
_FAMILIES = {
    "gpt2": _BASE.model,
    "llama": replace(_BASE.model, family="llama", n_kv_heads=1, qk_norm=True, tied=False),
    "moe": replace(_BASE.model, family="moe", n_experts=4, tied=False, d_ff=64),
}


def _comparisons(
    corpus: Corpus, root: Path, device: torch.device, modes: Sequence[str]
) -> list[tuple[str, float, Callable[[], float]]]:
    cpu = torch.device("cpu")

    def run(where: torch.device, step: str = "eager", dtype: str = "float32", **changes: Any) -> list[float]:
        config = replace(_BASE, **changes, runtime=RuntimeConfig(device=str(where), dtype=dtype, step=step))  # type: ignore[arg-type]
        return _losses(config, corpus, where)

    def against(**changes: Any) -> Callable[[], float]:
        models = {name: value for name, value in changes.items() if name not in ("step", "dtype")}
        return lambda: _largest(run(device, **changes), run(cpu, **models))

    found: list[tuple[str, float, Callable[[], float]]] = []
    for family, model in _FAMILIES.items():
        found.append((f"{family}, float32", EXACT, against(model=model)))
    found.append(("muon, float32", 10 * EXACT, against(optimizer=replace(_BASE.optimizer, name="muon"))))
    found.append(("three members, float32", EXACT, against(seeds=(0, 1, 2))))
    found.append(("gpt2, bfloat16", COARSE, against(dtype="bfloat16")))
    for mode in modes:
        if mode != "eager":
            found.append((f"{mode}, float32", EXACT, against(step=mode)))
            found.append((f"{mode}, bfloat16", COARSE, against(step=mode, dtype="bfloat16")))
            found.append(
                (f"llama, {mode}, bfloat16", COARSE, against(step=mode, dtype="bfloat16", model=_FAMILIES["llama"]))
            )
    found.append(("killed and resumed", EXACT, lambda: _resumed(root, device)))
    return found


def _losses(config: RunConfig, corpus: Corpus, device: torch.device) -> list[float]:
    """Losses of the first steps of a run, of all members."""
    trainer = Trainer(config, corpus, World(0, 1, device))
    trainer.place(N_STEPS)
    return [loss for step in range(N_STEPS) for loss in trainer.step(step, 1.0)[0].cpu().tolist()]


def _largest(ours: list[float], theirs: list[float]) -> float:
    differences = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
    return max(differences) if all(map(math.isfinite, differences)) else math.inf  # max passes over NaN


class _Killed(BaseException):
    pass


def _resumed(root: Path, device: torch.device) -> float:
    """Difference of the losses of a run that was killed within a branch from those of one that was not."""
    runtime = RuntimeConfig(device=str(device), dtype="float32", step="eager", checkpoint_every=0.0)
    config = replace(_BASE, runtime=runtime)
    with tempfile.TemporaryDirectory() as aside:
        found = []
        for name in ("straight", "killed"):
            store = Path(aside) / name
            store.mkdir()
            (store / "corpora").symlink_to((root / "corpora").absolute())
            if name == "killed":
                _kill_after(config, store, 14)
            found.append([float(row["loss"]) for row in loop.train(config, store).rows])
    return _largest(*found)


def _kill_after(config: RunConfig, store: Path, n_steps: int) -> None:
    """Train until a curve record after so many steps, and die."""

    def dying(record: dict[str, Any]) -> None:
        if record["step"] >= n_steps:
            raise _Killed

    try:
        loop.train(config, store, dying)
    except _Killed:
        return
    raise RuntimeError(f"the run ended before step {n_steps}")
