"""Losses that a run should not go below, and the best other use of its compute."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from scalefit.errors import ArgumentError, ScalefitError, ScalefitWarning, arg
from scalefit.flops import SIZES
from scalefit.predictor import Predictor
from scalefit.stopping.advice import Reason
from scalefit.stopping.run_plan import RunPlan

FRONTIER_POINTS = 41  # compute values at which a law's best loss is tabulated


def theory_floor(plan: RunPlan) -> tuple[dict[str, float], list[Reason]]:
    """Loss that the associative-memory theory allows the plan [nat/token], and what that rests on.

    Both are empty where the plan does not say what the theory asks; where the theory refuses it, a reason says why.
    """
    tokens = plan.batch_tokens
    if None in (plan.n_params, tokens, plan.n_layers, plan.d_emb, plan.T_max) or tokens is None:
        return {}, []
    if plan.loss_unit != "nat/token":
        return {}, []
    from scalefit.memory.floor import loss_floor

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ScalefitWarning)  # they are in the floor's notes
            floor = loss_floor(
                N=plan.n_params,
                D=min(tokens * plan.steps, plan.unique_tokens or np.inf),
                n_layers=plan.n_layers,
                d_emb=plan.d_emb,
                T_max=plan.T_max,
                vocab_size=plan.vocab_size,
            )
    except ScalefitError as error:
        return {}, [Reason("theory_floor_unknown", f"The associative-memory theory gives this plan no floor: {error}")]
    value = float(floor.loss_lower)
    noted = "".join(f" {note.message}" for note in floor.notes)
    reason = Reason(
        "theory_floor",
        f"The associative-memory theory allows this plan no loss below {value:.3f} nat/token ({floor.regime}); "
        f"a hypothesis, shown with the forecast and never a reason to stop.{noted}",
        {"floor": value, "regime": str(floor.regime)},
        " ".join(floor.assumptions),
    )
    return ({"associative_memory": value} if np.isfinite(value) else {}), [reason]


def law_floors(law: Any, plan: RunPlan) -> dict[str, float]:
    """E of a fitted law and its value at the plan [nat/token]."""
    floors: dict[str, float] = {}
    if not isinstance(law, Predictor):
        raise ArgumentError(
            f"{arg('law', law)} does not predict, so it is not a floor",
            "it was not used",
            "Pass what scalefit.fit or scalefit.published gave",
        )
    params = dict(law.params)
    if "E" in params:
        floors["law_E"] = float(params["E"])
    tokens = None if plan.batch_tokens is None else plan.batch_tokens * plan.steps
    known = {"N": plan.n_params, "D": tokens, "C": plan.flops(plan.steps)}
    if tokens is not None:
        known["unique_tokens"] = min(tokens, plan.unique_tokens or tokens)
    asked = {name: known.get(name) for name in law.inputs}
    if all(value is not None for value in asked.values()):
        floors["law_at_plan"] = float(law.predict(**asked))
    return floors


def best_loss_by_compute(law: Any, plan: RunPlan) -> tuple[list[float], list[float]]:
    """Compute [FLOP] and the best loss a law in N and D reaches with it [nat/token]; empty where that is unknown."""
    whole = plan.flops(plan.steps)
    if whole is None or set(law.inputs) != set(SIZES):
        return [], []
    from scalefit.planning.allocation import on_budget
    from scalefit.planning.loss_surface import surface_of

    surface = surface_of(law).first()
    compute = np.geomspace(whole * 1e-3, whole * 2, FRONTIER_POINTS)
    found = [on_budget(surface, c) for c in compute]
    best = law.predict(N=np.array([at.N[0] for at in found]), D=np.array([at.D[0] for at in found]))
    return compute.tolist(), np.asarray(best, dtype=float).tolist()
