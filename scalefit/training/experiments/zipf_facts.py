"""Facts under Zipf's law: the error of trained transformers against the exact masses of a memory, nothing fitted.

Cabannes, Dohmatob and Bietti (2024, arXiv:2310.02984) say that a memory errs on the facts it has not seen and on those
that do not fit. Two protocols keep them apart. Data: the widest model goes over D facts several times, and its error is
held against the probability of the keys that are not among these D. Width: narrow models learn from infinite data, and
the error is inverted into the number of facts that they hold. The theory is of a 0-1 error without an entropy floor;
losses are measured beside it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from scalefit.memory import ZipfFacts, storable_facts, zipf_exponents
from scalefit.training.config import (
    CorpusConfig,
    EvaluationConfig,
    OptimizerConfig,
    RunConfig,
    RuntimeConfig,
    ScheduleConfig,
)
from scalefit.training.data.corpus import open_corpus
from scalefit.training.data.corpus_build import fact_source
from scalefit.training.data.facts import ROW
from scalefit.training.experiments.finding import Finding, train_to_end
from scalefit.training.experiments.zipf_width import fact_model, population_rows, score
from scalefit.training.trained import load_trained

TITLE = "Facts under Zipf's law: what is not seen and what does not fit"
#: The rates were chosen before these runs, by an earlier trial with other code; nothing is selected by the scores.
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "exponents": (1.5, 2.0), "n_values": 8, "facts": (512, 2048), "epochs": 8, "n_keys": 1024, "widest": 32,
        "lr": 1e-2, "seeds": (0,), "widths": (4, 8), "width_keys": 512, "width_lr": 2e-2, "width_seeds": (0,),
        "steps_per_width": 25,
    },
    "small": {
        "exponents": (1.2, 1.5, 2.0), "n_values": 64, "facts": (4096, 16_384, 65_536), "epochs": 8, "n_keys": 65_536,
        "widest": 64, "lr": 3e-3, "seeds": (0, 1), "widths": (4, 6, 8, 12, 16), "width_keys": 2048, "width_lr": 2e-2,
        "width_seeds": (0,), "steps_per_width": 200,
    },
    "full": {
        "exponents": (1.2, 1.5, 2.0), "n_values": 64, "facts": (4096, 16_384, 65_536, 262_144, 1_048_576), "epochs": 16,
        "n_keys": 1 << 20, "widest": 256, "lr": 1e-3, "seeds": (0, 1, 2), "widths": (4, 6, 8, 12, 16, 24, 32),
        "width_keys": 16_384, "width_lr": 2e-2, "width_seeds": (0, 1, 2), "steps_per_width": 400,
    },
}  # fmt: skip
#: How the number of facts that fit may grow with the width d.
RIVALS = ("d", "d^2", "d^2/ln", "N")
_BATCHES = (16, 256)
#: The mass not seen is met where the error is within this share of it.
NEAR = 0.05
#: A model that holds this share of equally frequent keys has room for nearly all: its error says no capacity.
SATURATED = 0.8


def run(settings: dict[str, Any], store: Path) -> Finding:
    """Train both ladders and compare each error with the exact mass."""
    seen = [row for a in settings["exponents"] for D in settings["facts"] for row in _data_rows(settings, store, a, D)]
    fitting = _width_rows(settings, store)
    verdict = f"{_data_verdict(seen, settings)} {_width_verdict(fitting, settings)}"
    names = dict.fromkeys(name for row in (seen[0], fitting[0]) for name in row)
    rows = [{name: row.get(name) for name in names} for row in (*seen, *fitting)]
    return Finding(TITLE, rows, verdict, lambda figure: _draw(figure, seen, fitting))


def data_config(settings: dict[str, Any], zipf: float, facts: int) -> RunConfig:
    """Return the run of the data ladder at one exponent and one number of facts."""
    trained_on = settings["epochs"] * facts
    return RunConfig(
        model=fact_model(settings["widest"]),
        corpus=CorpusConfig(
            source="facts", n_keys=settings["n_keys"], zipf=zipf, n_states=settings["n_values"], n_tokens=facts
        ),
        optimizer=OptimizerConfig(
            lr=settings["lr"], batch_size=int(np.clip(facts // 512, *_BATCHES)), weight_decay=0.0
        ),
        schedule=ScheduleConfig(tokens=(trained_on,), warmup=trained_on // 10, cooldown=0.9, shape="linear"),
        evaluation=EvaluationConfig(curve_points=0),
        runtime=RuntimeConfig(keep_weights=True, device="cpu"),
        seeds=settings["seeds"],
        series="zipf_facts",
    )


def _data_rows(settings: dict[str, Any], store: Path, zipf: float, facts: int) -> list[dict[str, Any]]:
    config = data_config(settings, zipf, facts)
    record = train_to_end(config, store)
    corpus = open_corpus(config.corpus, store / "corpora")
    source = fact_source(config.corpus)
    codes = np.asarray(corpus.train).reshape(-1, ROW)[:, :2].astype(np.int64)
    every = source.rows(np.arange(settings["n_keys"]))[:, :2].astype(np.int64)
    drawn = np.isin(every[:, 0] * 2 * source.side + every[:, 1], codes[:, 0] * 2 * source.side + codes[:, 1])
    unseen = source.unseen(np.flatnonzero(drawn))
    scores = score(load_trained(config, store).model, source, [source.facts.probabilities] * len(config.members))
    return [
        {
            "protocol": "data",
            "zipf": zipf,
            "width": settings["widest"],
            "N": row["N"],
            "D": facts,
            "epochs": settings["epochs"],
            "seed": row["seed"],
            "loss": found["loss"],
            "error": found["error"],
            "H_data": row["H_data"],
            "unseen": unseen,
            "expected_unseen": source.facts.unseen(facts),
            "predicted_error": source.facts.guess * unseen,
            "ratio": found["error"] / source.facts.guess / unseen,
            "keys_seen": int(drawn.sum()),
        }
        for row, found in zip(record.rows, scores, strict=True)
    ]


def _width_rows(settings: dict[str, Any], store: Path) -> list[dict[str, Any]]:
    rows = []
    for seed in settings["width_seeds"]:
        for width in settings["widths"]:
            found = population_rows(
                store / "zipf_facts",
                exponents=(0.0, *settings["exponents"]),
                width=width,
                n_keys=settings["width_keys"],
                n_values=settings["n_values"],
                steps=settings["steps_per_width"] * width,
                lr=settings["width_lr"],
                seed=seed,
            )
            full = 1.0 - found[0]["error"] > SATURATED  # of keys that are drawn alike
            for row in found:
                facts = ZipfFacts(settings["width_keys"], row["zipf"], settings["n_values"])
                stored = facts.capacity(row["error"])
                rows.append(
                    {
                        "protocol": "width",
                        "zipf": row["zipf"],
                        "width": width,
                        "N": row["N"],
                        "D": math.inf,
                        "seed": seed,
                        "loss": row["loss"],
                        "error": row["error"],
                        "H_data": 0.0,
                        "capacity": stored,
                        "capacity_per_d2": stored / width**2,
                        "capacity_per_N": stored / row["N"],
                        "saturated": full,
                        "steps": row["steps"],
                    }
                )
    return rows


def log_slope(sizes: Any, values: Any) -> float:
    """Return d log(values) / d log(sizes) by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def _means(rows: list[dict[str, Any]], by: str, of: str) -> tuple[Any, Any]:
    """Sizes, and the geometric mean over seeds at each."""
    sizes = sorted({row[by] for row in rows})
    return np.array(sizes, float), np.array(
        [math.exp(np.mean([math.log(row[of]) for row in rows if row[by] == size])) for size in sizes]
    )


def _data_verdict(rows: list[dict[str, Any]], settings: dict[str, Any]) -> str:
    parts = []
    for a in settings["exponents"]:
        mine = [row for row in rows if row["zipf"] == a]
        sizes, errors = _means(mine, "D", "error")
        _, losses = _means(mine, "D", "loss")
        _, exact = _means(mine, "D", "unseen")
        ratios = [row["ratio"] for row in mine]
        far = sum(abs(ratio - 1) > NEAR for ratio in ratios)
        parts.append(
            f"a = {a:g}: {min(ratios):.3f} to {max(ratios):.3f} times that mass ({len(ratios) - far} of {len(ratios)} "
            f"within {NEAR:.0%}); exponent of the error {-log_slope(sizes, errors):.3f}, of the loss "
            f"{-log_slope(sizes, losses):.3f}, of the exact mass {-log_slope(sizes, exact):.3f}, asymptotic "
            f"{zipf_exponents(a).data:.3f}"
        )
    return (
        f"Data: a model of width {settings['widest']} after {settings['epochs']} epochs over D facts. Its error over "
        f"1 - 1/M is held against the probability of the keys that are not among its D facts, with nothing fitted. "
        f"{'; '.join(parts)}."
    )


def capacity_power(rows: list[dict[str, Any]]) -> tuple[float, float]:
    """Return m of P ~ d^m and its standard error, by least squares over widths and seeds."""
    x, y = (np.log([row[name] for row in rows]) for name in ("width", "capacity"))
    slope, level = np.polyfit(x, y, 1)
    left = y - level - slope * x
    spread = math.sqrt((left**2).sum() / max(1, len(x) - 2) / ((x - x.mean()) ** 2).sum())
    return float(slope), spread


def rival_misfits(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the rms error of log P under each rival capacity, times the constant that fits best."""
    width = np.array([row["width"] for row in rows], float)
    shapes = {"d": width, "d^2": width**2, "d^2/ln": storable_facts(width), "N": np.array([row["N"] for row in rows])}
    found = {}
    for name, shape in shapes.items():
        ratio = np.log([row["capacity"] for row in rows]) - np.log(shape)
        found[name] = float(ratio.std())
    return found


def _width_verdict(rows: list[dict[str, Any]], settings: dict[str, Any]) -> str:
    parts = []
    for a in (0.0, *settings["exponents"]):
        mine = [row for row in rows if row["zipf"] == a and row["capacity"] > 0 and not row["saturated"]]
        if len({row["width"] for row in mine}) < 2:
            parts.append(f"a = {a:g}: too few widths to tell")
            continue
        power, error = capacity_power(mine)
        misfits = rival_misfits(mine)
        sizes, errors = _means(mine, "width", "error")
        per = [row["capacity_per_d2"] for row in mine]
        best = min(misfits, key=misfits.__getitem__)
        limit = "" if a <= 1 else f" (asymptotic {zipf_exponents(a).width:.1f} for d^2, {a - 1:.1f} for d)"
        parts.append(
            f"a = {a:g}: P ~ d^({power:.2f} +- {error:.2f}), {min(per):.1f} to {max(per):.1f} d^2; rms of log P "
            f"{', '.join(f'{misfits[name]:.2f} for {name}' for name in RIVALS)}, least for {best}; raw exponent of the "
            f"error in d {-log_slope(sizes, errors):.2f}{limit}"
        )
    full = sorted({row["width"] for row in rows if row["saturated"]})
    left_out = (
        f"; width {', '.join(map(str, full))} holds nearly all keys and is left out of what follows" if full else ""
    )
    return (
        f"Width: models of width {min(settings['widths'])} to {max(settings['widths'])} on infinite data, "
        f"{settings['width_keys']:,} keys, {settings['steps_per_width']} steps for each unit of width. The capacity P "
        f"is the number of most frequent facts whose loss of the rest is the measured error{left_out}. "
        f"{'; '.join(parts)}. Raw exponents of the error are those of a finite number of keys, not the asymptotic ones."
    )


def _draw(figure: Any, seen: list[dict[str, Any]], fitting: list[dict[str, Any]]) -> None:
    left, right = figure.subplots(1, 2)
    for a in sorted({row["zipf"] for row in seen}):
        mine = [row for row in seen if row["zipf"] == a]
        line = left.plot([row["D"] for row in mine], [row["error"] for row in mine], "o", label=f"a = {a:g}")[0]
        sizes, exact = _means(mine, "D", "predicted_error")
        left.plot(sizes, exact, "-", color=line.get_color(), linewidth=1)
    sizes = sorted({row["D"] for row in seen})
    left.set(xscale="log", yscale="log", xlabel="facts D", ylabel="error", title="points: measured; lines: not seen")
    left.set_xticks(sizes, [f"{size:,}" for size in sizes])
    left.set_xticks([], minor=True)
    left.legend()
    for a in sorted({row["zipf"] for row in fitting}):
        mine = [row for row in fitting if row["zipf"] == a]
        right.plot([row["width"] for row in mine], [row["capacity"] for row in mine], "o", label=f"a = {a:g}")
    widths = np.array(sorted({row["width"] for row in fitting}), float)
    middle = math.exp(np.mean([math.log(row["capacity_per_d2"]) for row in fitting if row["capacity"] > 0]))
    right.plot(widths, middle * widths**2, "-", color="black", linewidth=1, label=f"{middle:.1f} d^2")
    right.set(xscale="log", yscale="log", xlabel="width d", ylabel="facts held P", title="inverted capacity")
    right.set_xticks(widths, [f"{width:g}" for width in widths])
    right.set_xticks([], minor=True)
    right.legend()
