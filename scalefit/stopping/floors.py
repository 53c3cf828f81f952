"""Losses that a run should not be able to go below, and what else its compute could buy."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit._typing import Array
from scalefit.errors import ArgumentError
from scalefit.stopping.advice import Reason
from scalefit.stopping.plan import FLOP_PER_PARAM_TOKEN, RunPlan

FRONTIER_POINTS = 41  # compute values at which a law's best loss is tabulated


def theory_floor(plan: RunPlan) -> tuple[float, Reason] | None:
    """Loss that the associative-memory theory allows the plan [nat/token] and what that rests on; None if unknown."""
    tokens = plan.batch_tokens
    if None in (plan.n_params, tokens, plan.n_layers, plan.d_emb, plan.T_max) or tokens is None:
        return None
    from scalefit.memory.floor import loss_floor

    try:
        floor = loss_floor(
            N=plan.n_params,
            D=min(tokens * plan.steps, plan.unique_tokens or np.inf),
            n_layers=plan.n_layers,
            d_emb=plan.d_emb,
            T_max=plan.T_max,
            vocab_size=plan.vocab_size,
        )
    except ValueError:
        return None
    value = float(floor.loss_lower)
    if not np.isfinite(value):
        return None
    return value, Reason(
        "theory_floor",
        f"The associative-memory theory allows this plan no loss below {value:.3f} nat/token ({floor.regime}); "
        "a hypothesis, shown beside the forecast and never a reason to stop.",
        {"floor": value, "regime": str(floor.regime)},
        " ".join(floor.assumptions),
    )


def law_floors(law: Any, plan: RunPlan) -> dict[str, float]:
    """E of a fitted law and its value at the plan [nat/token]."""
    floors: dict[str, float] = {}
    if not (hasattr(law, "params") and hasattr(law, "predict")):
        raise ArgumentError(f"law={law!r:.80} does not predict: pass what scalefit.fit or scalefit.published returned.")
    params = dict(law.params)
    if "E" in params:
        floors["law_E"] = float(params["E"])
    known = {"N": plan.n_params, "D": None if plan.batch_tokens is None else plan.batch_tokens * plan.steps}
    known["C"] = plan.flops(plan.steps)
    asked = {name: known.get(name) for name in _inputs(law)}
    if all(value is not None for value in asked.values()):
        floors["law_at_plan"] = float(law.predict(**asked))
    return floors


def _inputs(law: Any) -> tuple[str, ...]:
    """Inputs that a fitted law predicts from; N and D where it does not say."""
    return tuple(getattr(getattr(law, "law", None), "inputs", ("N", "D")))


def frontier(law: Any, plan: RunPlan) -> tuple[list[float], list[float]]:
    """Compute [FLOP] and the best loss a law in N and D reaches with it [nat/token]; empty where that is unknown."""
    whole = plan.flops(plan.steps)
    if whole is None or set(_inputs(law)) != {"N", "D"}:
        return [], []
    compute = np.geomspace(whole * 1e-3, whole * 2, FRONTIER_POINTS)
    best = [_best_loss(law, c) for c in compute]
    return compute.tolist(), best


def _best_loss(law: Any, compute: float) -> float:
    ratio = np.geomspace(1.0, 1000.0, 200)  # tokens per parameter
    N: Array = np.sqrt(compute / (FLOP_PER_PARAM_TOKEN * ratio))
    return float(np.min(np.asarray(law.predict(N=N, D=ratio * N), dtype=float)))
