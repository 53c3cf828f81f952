"""Sweeps: a grid of models and token counts, expanded into runs, run once each, collected into one table.

Expansion is a pure function of the config and of what the store already holds: first a learning-rate probe
for each size and corpus, then, from its result, the points. Any number of workers may expand and run the
same sweep.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from scalefit._arguments import check_number
from scalefit.errors import ArgumentError, arg
from scalefit.flops import SIZES, convention, training_flops
from scalefit.training._config import Config, Flag, Number, Several, Text, Whole
from scalefit.training.config import (
    CorpusConfig,
    EvaluationConfig,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    RuntimeConfig,
    ScheduleConfig,
)  # fmt: skip
from scalefit.training.data.corpus import open_corpus
from scalefit.training.models.shapes import count_total, shape_for
from scalefit.training.remote import open_store
from scalefit.training.store import RunFolder, RunRecord, Store, StoreError, store_errors, write_atomically


@dataclass(frozen=True)
class SizeConfig(Config):
    """One model of a sweep; its fields replace those of the sweep.

    `cosine` lists D [tokens] that are also trained as cosine runs of their own, to check the cooldown branches.
    `probe_tokens` is the D of its learning-rate probe, `curve_points` its evaluations along a run.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    tokens: Annotated[tuple[Whole, ...], Several] = ()
    seeds: Annotated[tuple[Whole, ...], Several] = ()
    batch_size: Whole | None = None
    cosine: Annotated[tuple[Whole, ...], Several] = ()
    probe_tokens: Whole | None = None
    curve_points: Whole | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SizeConfig:
        """Build from a mapping; the fields of the model may stand beside the others."""
        own = {item.name for item in fields(cls)}
        values = dict(values)
        flat = {key: values.pop(key) for key in list(values) if key not in own}
        if flat:
            values["model"] = {**values.get("model", {}), **flat}
        return super().from_dict(values)


@dataclass(frozen=True)
class LearningRateConfig(Config):
    """How the peak rate of each size is found.

    Parameters
    ----------
    grid : tuple of float
        Rates to try, trained as one ensemble. A single rate is used as it is.
    tokens : int
        D of the probe [tokens].
    extend : int
        How often the grid grows by two rates if the best one is at its edge; if it still is, ``lr_at_edge``
        says so.
    transfer : bool
        Probe the first size only and take its rate for all: every size needs ``model.base_width``, the maximal-update
        parametrisation in which the best rate does not move with the width.
    """

    grid: Annotated[tuple[Number, ...], Several] = (1e-3, 3e-3, 1e-2)
    tokens: Whole = 500_000
    extend: Whole = 1
    transfer: Flag = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "grid", tuple(sorted(self.grid)))
        self._check(len(self.grid) > 0 and self.grid[0] > 0, "grid", "one or more positive rates")
        self._check(self.tokens > 0, "tokens", "positive")
        self._check(self.extend >= 0, "extend", "0 or more")


@dataclass(frozen=True)
class SweepConfig(Config):
    """A sweep over sizes and token counts on one or more corpora.

    Give `tokens` (every size sees the same D), or `ratios` (D = ratio x N), or `flops` (isoFLOP: D = C /
    6N); a size's own `tokens` come first. `corpora` maps the name of a series to its corpus.
    """

    name: Text = "sweep"
    corpora: Mapping[str, CorpusConfig] = field(default_factory=lambda: {"stdlib": CorpusConfig()})
    sizes: Annotated[tuple[SizeConfig, ...], Several] = (SizeConfig(),)
    tokens: Annotated[tuple[Whole, ...], Several] = ()
    ratios: Annotated[tuple[Number, ...], Several] = ()
    flops: Annotated[tuple[Number, ...], Several] = ()
    seeds: Annotated[tuple[Whole, ...], Several] = (0,)
    lr: LearningRateConfig = field(default_factory=LearningRateConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)

    def __post_init__(self) -> None:
        given = [name for name in ("tokens", "ratios", "flops") if getattr(self, name)]
        own = all(size.tokens for size in self.sizes)
        if len(given) > 1 or not (given or own):
            raise ArgumentError(
                f"SweepConfig has {' and '.join(given) or 'no token counts'}",
                "nothing was run",
                "Give exactly one of tokens, ratios and flops, or tokens in every size",
            )
        self._check(self.name.replace("-", "").replace("_", "").isalnum(), "name", "letters, digits, - and _")
        self._check(len(self.corpora) > 0, "corpora", "one or more named corpora")
        bases = {size.model.base_width for size in self.sizes}
        if self.lr.transfer and (len(bases) > 1 or None in bases):
            raise ArgumentError(
                "A rate is to be transferred between sizes that do not share one base_width",
                "nothing was run",
                "Set the same model.base_width in every size, or lr.transfer = false",
            )

    @classmethod
    def from_table(cls, table: Any, corpus: CorpusConfig | None = None, **settings: Any) -> SweepConfig:
        """Plan runs near each (N, D) of a table, such as ``sf.next_runs`` returns.

        Parameters
        ----------
        table : DataFrame or mapping of columns
            Columns N [parameters] and D [tokens].
        corpus : CorpusConfig, optional
            Default: the standard library's source, as bytes.
        **settings
            Any other field of SweepConfig.
        """
        missing = set(SIZES) - set(table if isinstance(table, Mapping) else getattr(table, "columns", ()))
        if missing or not len(table["N"]):
            raise ArgumentError(
                f"A table of runs to train needs rows with N and D; this {type(table).__name__} lacks "
                f"{' and '.join(sorted(missing)) or 'rows'}",
                "nothing was planned",
                "Give what sf.next_runs returns",
            )
        corpus = corpus or CorpusConfig()
        vocab_size = corpus_vocabulary(corpus)
        wanted: dict[ModelConfig, set[int]] = {}
        for row, (given_n, given_d) in enumerate(zip(table["N"], table["D"], strict=True)):
            N, D = check_number("N", given_n), check_number("D", given_d)
            if not (0 < N < math.inf and 0 < D < math.inf):
                raise ArgumentError(
                    f"Row {row} of the table has {arg('N', shown=f'{N:g}')}, {arg('D', shown=f'{D:g}')}",
                    "nothing was planned",
                    "Make both positive and finite",
                )
            wanted.setdefault(shape_for(N, vocab_size), set()).add(round(D))
        sizes = tuple(SizeConfig(model=model, tokens=tuple(sorted(D))) for model, D in wanted.items())
        return cls(corpora={corpus.source: corpus}, sizes=sizes, **settings)


def corpus_vocabulary(corpus: CorpusConfig) -> int:
    """Return the approximate vocabulary of a corpus without building it, to choose shapes."""
    if corpus.source == "markov":
        return corpus.n_states
    kind, _, size = corpus.tokenizer.partition(":")
    return {"byte": 257, "words": 69}.get(kind) or (int(size) if size.isdigit() else 50_257)


@dataclass(frozen=True)
class Job:
    """One run of a sweep, with the sweep's facts about it."""

    config: RunConfig
    run_id: str
    lr_at_edge: bool | None = None


class Sweep:
    """A sweep in a store."""

    def __init__(self, config: SweepConfig, store: str | Path | Store) -> None:
        if not isinstance(config, SweepConfig):
            raise ArgumentError(f"config is a {type(config).__name__}", "nothing was run", "Make a SweepConfig")
        self.config, self.store = config, open_store(store)
        self.root = self.store.root
        self.corpora = {name: open_corpus(item, self.root / "corpora") for name, item in config.corpora.items()}
        self._pin()

    @classmethod
    def load(cls, store: str | Path | Store, name: str | None = None) -> Sweep:
        """Open a sweep that a store holds; `name` may be left out where there is one."""
        place = open_store(store)
        place.fetch(f"sweeps/{name or '*'}.json")
        found = sorted((place.root / "sweeps").glob(f"{name or '*'}.json"))
        if len(found) != 1:
            names = ", ".join(path.stem for path in found) or "none"
            raise ArgumentError(f"{store} holds the sweeps: {names}", "none was opened", "Name one of them")
        try:
            config = SweepConfig.from_dict(json.loads(found[0].read_text())["config"])
        except (OSError, ValueError, KeyError) as error:
            raise StoreError(
                f"{found[0]} cannot be read ({error})",
                "nothing was run",
                "Delete it, and start the sweep again from its config",
            ) from error
        return cls(config, place)

    def _pin(self) -> None:
        """Remember which tokens the sweep is on; another machine's standard library may differ."""
        path = self.root / "sweeps" / f"{self.config.name}.json"
        shas = {name: corpus.sha for name, corpus in self.corpora.items()}
        self.store.fetch(f"sweeps/{path.name}")
        if path.exists():
            try:
                saved = dict(json.loads(path.read_text())["corpora"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise StoreError(
                    f"{path} cannot be read ({error})",
                    "nothing was run",
                    "Delete it, and the sweep begins again with the runs that are finished",
                ) from error
            foreign = {name: sha for name, sha in shas.items() if saved.get(name, sha) != sha}
            if foreign:
                raise StoreError(
                    f"The corpus of {', '.join(foreign)} has another sha256 here ({foreign}) than where the sweep "
                    f"{self.config.name!r} began ({saved})",
                    "nothing was run",
                    "Copy corpora/ from there, or use another store",
                )
        with store_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            content = json.dumps({"config": self.config.to_dict(), "corpora": shas}, indent=1)
            write_atomically(path, content.encode())
        self.store.publish(f"sweeps/{path.name}")

    def folder(self, job: Job) -> RunFolder:
        """Folder of a job's run."""
        return self.store.folder(job.run_id)

    def jobs(self) -> list[Job]:
        """Return every run known so far, the cheapest first, each once."""
        found: dict[str, Job] = {}
        for series in self.config.corpora:
            for size in self.config.sizes:
                for job in self._jobs_of(series, size):
                    found.setdefault(job.run_id, job)
        return sorted(found.values(), key=self.cost)

    def cost(self, job: Job) -> float:
        """Rough training FLOP of a job, to sort by."""
        config = job.config
        total = count_total(config.model, corpus_vocabulary(config.corpus))
        return float(training_flops(total, sum(config.schedule.tokens))) * len(config.members)

    def _jobs_of(self, series: str, size: SizeConfig) -> list[Job]:
        jobs: list[Job] = []
        chosen, at_edge = self.config.lr.grid[0], None
        if len(self.config.lr.grid) > 1:
            scores: dict[float, float] = {}  # of every rate tried; one that failed has lost against all
            rates: tuple[float, ...] = self.config.lr.grid
            tuned = self.config.sizes[0] if self.config.lr.transfer else size
            for attempt in range(self.config.lr.extend + 1):
                schedule = replace(self.config.schedule, tokens=(tuned.probe_tokens or self.config.lr.tokens,))
                probe = self._job(series, tuned, rates, schedule, self.config.seeds[:1], "lr_probe")
                jobs.append(probe)
                if not self.folder(probe).finished:
                    return jobs
                for row in self.folder(probe).read_record().rows:
                    finished = row["status"] == "finished" and row["loss"] is not None
                    scores[row["lr"]] = row["loss"] if finished else math.inf
                if min(scores.values()) == math.inf:
                    break
                chosen = min(scores, key=scores.__getitem__)
                ordered = sorted(scores)
                at_edge = chosen in (ordered[0], ordered[-1])
                if not at_edge or attempt == self.config.lr.extend:
                    break
                ratio = self.config.lr.grid[1] / self.config.lr.grid[0]
                factor = ratio if chosen == ordered[-1] else 1 / ratio
                rates = tuple(sorted((chosen * factor, chosen * factor**2)))
        schedule = replace(self.config.schedule, tokens=self._tokens(series, size))
        seeds = size.seeds or self.config.seeds
        jobs.append(self._job(series, size, (chosen,), schedule, seeds, "point", at_edge))
        for tokens in size.cosine:
            cosine = replace(schedule, kind="cosine", tokens=(tokens,), final=0.1)
            jobs.append(self._job(series, size, (chosen,), cosine, self.config.seeds[:1], "point", at_edge))
        return jobs

    def _tokens(self, series: str, size: SizeConfig) -> tuple[int, ...]:
        if size.tokens or self.config.tokens:
            return size.tokens or self.config.tokens
        N = count_total(size.model, self.corpora[series].vocab_size)
        ratios = self.config.ratios or tuple(float(convention("6ND").tokens(C, N)) / N for C in self.config.flops)
        return tuple(round(ratio * N) for ratio in ratios)

    def _job(
        self, series: str, size: SizeConfig, rates: tuple[float, ...], schedule: ScheduleConfig,
        seeds: tuple[int, ...], purpose: Literal["point", "lr_probe"], at_edge: bool | None = None,
    ) -> Job:  # fmt: skip
        batch_size = size.batch_size or self.config.optimizer.batch_size
        optimizer = replace(self.config.optimizer, lr=rates if len(rates) > 1 else rates[0], batch_size=batch_size)
        wanted = size.curve_points if size.curve_points is not None else self.config.evaluation.curve_points
        evaluation = replace(self.config.evaluation, curve_points=0 if purpose == "lr_probe" else wanted)
        config = RunConfig(
            model=size.model, corpus=self.config.corpora[series], optimizer=optimizer, schedule=schedule,
            evaluation=evaluation, runtime=self.config.runtime, seeds=seeds, series=series,
            purpose=purpose,
        )  # fmt: skip
        return Job(config, config.run_id(self.corpora[series].sha), at_edge)

    def records(self) -> list[tuple[Job, RunRecord]]:
        """Return the finished runs."""
        return [(job, self.folder(job).read_record()) for job in self.jobs() if self.folder(job).finished]


def sweep_digest(config: SweepConfig) -> str:
    """Twelve hex digits that name a sweep's config."""
    return hashlib.sha256(json.dumps(config.changes(), sort_keys=True).encode()).hexdigest()[:12]
