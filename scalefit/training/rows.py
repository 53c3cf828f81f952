"""One row of the table that the fits read, with every convention for N and C beside the default."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalefit.training.loop import _Run


def make_row(run: _Run, member: int, steps: int, loss: float, loss_se: float, train_loss: float) -> dict[str, Any]:
    """Return the row of one member at one D.

    N counts every trained parameter once (a tied matrix once), C is 6 N D; ``C_matmul`` counts matrix
    products, the output's included, and causal attention instead.
    """
    config, corpus, built = run.config, run.corpus, run.built
    lr, seed = run.members[member]
    D = steps * run.tokens_per_step
    unique = corpus.unique_tokens(run.length)
    status = run.status[member]
    if status == "finished" and not math.isfinite(loss):
        status = "nan"
    model = config.model
    bytes_per_token = (corpus.meta["val_bytes"] or 0) / max(1, corpus.meta["val_tokens"])
    return {
        "N": built.total,
        "D": round(D),
        "C": 6.0 * built.total * D,
        "loss": loss,
        "loss_se": loss_se,
        "series": config.series,
        "unique_tokens": min(round(D), unique),
        "epochs": D / unique,
        "status": status,
        "kind": "lr_probe" if config.purpose == "lr_probe" else _KINDS[config.schedule.kind],
        "seed": seed,
        "lr": lr,
        "lr_at_edge": None,
        "train_loss": train_loss,
        "bits_per_byte": loss / math.log(2) / bytes_per_token if bytes_per_token else None,
        "H_data": corpus.entropy(run.length),
        "N_non_embedding": built.non_embedding,
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
        "batch_tokens": round(run.tokens_per_step),
        "steps": steps,
        "schedule": config.schedule.kind,
        "trunk_id": f"{run.run_id}-{member}",
        "run_id": f"{run.run_id}-{member}-{steps}",
        "member": member,
        "corpus_sha": corpus.sha,
    }


_KINDS = {"wsd": "branch", "cosine": "final", "constant": "constant"}
