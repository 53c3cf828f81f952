"""One row of the table that the fits read, with every convention for N and C beside the default."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scalefit.flops import training_flops
from scalefit.training.config import RunConfig
from scalefit.training.data.corpus import Corpus
from scalefit.training.models.built import Built


@dataclass(frozen=True)
class RunFacts:
    """Facts that all rows of a run share.

    `length` is the positions of a training row, `tokens_per_step` the tokens that a step of one member scores,
    `machine` what it was computed on (device, n_devices, dtype).
    """

    config: RunConfig
    corpus: Corpus
    built: Built
    run_id: str
    length: int
    tokens_per_step: float
    machine: dict[str, Any]


@dataclass(frozen=True)
class Score:
    """What one member reached at one D: losses [nat/token], and its cost.

    `cost` holds seconds [s], tokens_per_second [token/s], mfu [-], peak_memory [byte] and grad_norm, each None where it
    was not measured.
    """

    status: str
    loss: float = math.nan
    loss_se: float = math.nan
    train_loss: float = math.nan
    cost: dict[str, float | None] = field(default_factory=dict)


#: Columns of a row's cost, and those of them that no two trainings share.
COSTS = ("seconds", "tokens_per_second", "mfu", "peak_memory", "grad_norm")
MEASURED = COSTS[:-1]


def repeatable(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows without what differs between two trainings of one config: times, rates and memory."""
    return [{name: value for name, value in row.items() if name not in MEASURED} for row in rows]


def make_row(facts: RunFacts, member: int, steps: int, score: Score) -> dict[str, Any]:
    """Return the row of one member at one D.

    N counts every trained parameter once (a tied matrix once), C is 6 N D; ``C_matmul`` counts matrix products, the
    output's included, and causal attention instead. In a mixture of experts N counts every expert and C only the
    parameters that a token uses, ``N_active``.
    """
    config, corpus, built = facts.config, facts.corpus, facts.built
    lr, seed = config.members[member]
    D = steps * facts.tokens_per_step
    unique = corpus.unique_tokens(facts.length)
    loss, status = score.loss, score.status
    if status == "finished" and not math.isfinite(loss):
        status = "nan"
    model = config.model
    bytes_per_token = (corpus.meta["val_bytes"] or 0) / max(1, corpus.meta["val_tokens"])
    return {
        "N": built.total,
        "D": round(D),
        "C": float(training_flops(built.active, D)),
        "loss": loss,
        "loss_se": score.loss_se,
        "series": config.series,
        "unique_tokens": min(round(D), unique),
        "epochs": D / unique,
        "status": status,
        "kind": "lr_probe" if config.purpose == "lr_probe" else _KINDS[config.schedule.kind],
        "seed": seed,
        "lr": lr,
        "lr_at_edge": None,
        "train_loss": score.train_loss,
        "bits_per_byte": loss / math.log(2) / bytes_per_token if bytes_per_token else None,
        "H_data": corpus.entropy(facts.length),
        "N_non_embedding": built.non_embedding,
        "N_active": built.active,
        "N_matmul": built.non_embedding + built.head,
        "C_matmul": built.flops_per_token * D,
        "family": model.family,
        "n_layers": built.shape["n_layers"],
        "d_emb": built.shape["d_emb"],
        "n_heads": built.shape["n_heads"],
        "d_ff": built.shape["d_ff"],
        "T_max": model.T_max,
        "vocab_size": built.shape["vocab_size"],
        "tied": built.shape["tied"],
        "batch_tokens": round(facts.tokens_per_step),
        "steps": steps,
        "schedule": config.schedule.kind,
        "optimizer": config.optimizer.name,
        "trunk_id": f"{facts.run_id}-{member}",
        "run_id": f"{facts.run_id}-{member}-{steps}",
        "member": member,
        "corpus_sha": corpus.sha,
        **{name: score.cost.get(name) for name in COSTS},
        **facts.machine,
    }


_KINDS = {"wsd": "branch", "cosine": "final", "constant": "constant"}
