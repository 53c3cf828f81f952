"""Training tests: one thread, and small configs that train in about a second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
torch.set_num_threads(1)

from scalefit.training import loop  # noqa: E402
from scalefit.training.config import (  # noqa: E402
    CorpusConfig,
    EvaluationConfig,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    ScheduleConfig,
)  # fmt: skip
from scalefit.training.sweeps.grid import LearningRateConfig, SizeConfig, SweepConfig  # noqa: E402


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """The same random numbers in each test, whatever ran before it in this process."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Corpora that are built once for all tests."""
    return tmp_path_factory.mktemp("corpora")


@pytest.fixture
def store_at(corpora: Path) -> Callable[[Path], Path]:
    """Give ``store_at(folder)``: make a store there that shares the corpora of the session."""

    def make(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "corpora").exists():
            (folder / "corpora").symlink_to(corpora)
        return folder

    return make


@pytest.fixture
def store(tmp_path: Path, store_at: Callable[[Path], Path]) -> Path:
    """A fresh store that shares the corpora of the session."""
    return store_at(tmp_path)


@pytest.fixture(scope="session")
def tiny() -> RunConfig:
    """Two branches, 50 steps, 6k parameters."""
    return RunConfig(
        model=ModelConfig(n_layers=1, d_emb=16, n_heads=2, T_max=32),
        corpus=CorpusConfig(source="markov", n_states=32, branching=4, n_tokens=60_000),
        optimizer=OptimizerConfig(lr=1e-2, batch_size=8),
        schedule=ScheduleConfig(tokens=(5_000, 10_000)),
        evaluation=EvaluationConfig(tokens=2_000, curve_points=6),
    )


@pytest.fixture
def grid(tiny: RunConfig) -> SweepConfig:
    """Two sizes by two D, of two runs after a probe each."""
    return SweepConfig(
        name="toy",
        corpora={"markov": tiny.corpus},
        sizes=tuple(SizeConfig(model=ModelConfig(n_layers=1, d_emb=d, n_heads=1, T_max=32)) for d in (8, 16)),
        tokens=(4_000, 8_000),
        lr=LearningRateConfig(grid=(3e-3, 1e-2), tokens=4_000, extend=0),
        optimizer=OptimizerConfig(batch_size=8),
        evaluation=EvaluationConfig(tokens=1_000, curve_points=4),
    )


@pytest.fixture
def with_(tiny: RunConfig):
    """Replace parts of the tiny config: ``with_(seeds=(1,), model={"d_emb": 8})``."""

    def change(**parts: object) -> RunConfig:
        config = tiny
        for name, value in parts.items():
            new = replace(getattr(config, name), **value) if isinstance(value, dict) else value
            config = replace(config, **{name: new})
        return config

    return change


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The training steps that this process has begun: (segment, step) of each."""
    steps: list[Any] = []
    step = loop._Run._step

    def counted(run: loop._Run, *arguments: Any) -> None:
        steps.append(arguments)
        step(run, *arguments)

    monkeypatch.setattr(loop._Run, "_step", counted)
    return steps


@pytest.fixture
def interrupt_at(monkeypatch: pytest.MonkeyPatch, begun: list[Any]) -> Callable[[int], list[Any]]:
    """Give ``interrupt_at(n)``: the n-th training step from here on is interrupted; it returns those begun."""
    step = loop._Run._step

    def interrupt(n: int) -> list[Any]:
        begun.clear()

        def dies(run: loop._Run, *arguments: Any) -> None:
            if len(begun) == n - 1:
                begun.append(arguments)
                monkeypatch.setattr(loop._Run, "_step", step)
                raise KeyboardInterrupt
            step(run, *arguments)

        monkeypatch.setattr(loop._Run, "_step", dies)
        return begun

    return interrupt
