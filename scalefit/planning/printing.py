"""Plans as people and programs read them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from scalefit.planning.limits import LEAP
from scalefit.tables.runs import note_record

if TYPE_CHECKING:
    from scalefit.planning.result import Plan


def plan_text(plan: Plan) -> str:
    """A plan for a person: the answer, its intervals, what it takes, and what to know before using it."""
    asked = {
        "C": "lowest loss for C = {:.4g} FLOP",
        "loss": "cheapest way to a loss of {:.4g} nat/token",
        "N": "best use of N = {:.4g} parameters",
        "D": "best use of D = {:.4g} tokens",
        "ratio": "budget whose optimum has {:.4g} tokens per parameter",
    }[plan.question].format(plan.asked)
    held = "".join(f", {key} held at {value:.4g}" for key, value in plan.fixed.items())
    lines = [f"Plan: {asked}{held}   law {plan.law}"]
    lines += [f"  Hardly known: {', and '.join(doubts)}."] if (doubts := _doubts(plan)) else []
    percent = f"{100 * plan.level:.6g}%"
    rows = [
        ("N", plan.N, plan.N_interval, f"parameters ({plan.params_convention})"),
        ("D", plan.D, plan.D_interval, "tokens"),
        ("C", plan.C, plan.C_interval, "FLOP (6ND)"),
    ]
    for name, value, between, unit in rows:
        lines.append(f"  {name:<6}{value:<12.4g}{_between(between, percent):<36}{unit}")
    loss = None if plan.lower is None or plan.upper is None else (plan.lower, plan.upper)
    lines.append(f"  {'loss':<6}{plan.loss:<12.5g}{_between(loss, percent, 5):<36}nat/token")
    growth = "" if math.isnan(plan.exponent_N) else f"; N* ~ C^{plan.exponent_N:.4f}"
    if plan.exponent_N_interval is not None:
        growth += f" [{plan.exponent_N_interval[0]:.3f}, {plan.exponent_N_interval[1]:.3f}]"
    lines.append(f"  {plan.tokens_per_param:.4g} tokens per parameter{growth}")
    if plan.epochs is not None:
        lines.append(f"  {plan.epochs:.3g} passes over {plan.unique_tokens:.3g} unique tokens")
    if plan.inference_tokens:
        lines.append(
            f"  serving {plan.inference_tokens:.3g} tokens takes {plan.serving_flops:.3g} FLOP, "
            f"{plan.serving_flops / plan.total_flops:.0%} of {plan.total_flops:.4g} in all"
        )
    if plan.hardware is not None:
        takes = [f"{plan.device_hours:,.0f} {plan.hardware.name} hours at {plan.hardware.mfu:.0%} of peak"]
        takes += [f"{plan.days:.3g} days on {plan.hardware.devices}"] if plan.days is not None else []
        takes += [f"{plan.money:,.0f} in money"] if plan.money is not None else []
        lines.append("  " + ", ".join(takes))
    if plan.architecture is not None:
        lines += ["  " + line for line in str(plan.architecture).splitlines()]
    sources = {
        "bootstrap": "intervals: bootstrap draws of the fit",
        "refits": "intervals: refits to resampled runs, as no covariance describes a law so loosely held",
        "robust covariance": "intervals: draws from the fit's robust covariance; result.bootstrap() gives better ones",
        "posterior": "intervals: the forecast's posterior for N and D, its calibrated interval for the loss",
        "none": "no intervals for N and D: the law comes without draws",
    }
    lines.append(f"  {sources.get(plan.interval_source, f'intervals: {plan.interval_source}')}")
    lines += [f"  {note}" for note in plan.notes]
    return "\n".join(lines)


def _doubts(plan: Plan) -> list[str]:
    """Why the numbers of a plan may be wrong by orders of magnitude."""
    said = []
    reach = max((note.details.get("C", 0.0) for note in plan.notes if note.code == "beyond_reach"), default=0.0)
    if reach > LEAP:
        said.append(f"the plan has {reach:.2g} times the compute of the largest run")
    if plan.N_interval is not None and plan.N_interval[1] > LEAP * plan.N_interval[0]:
        said.append("the runs hardly say which N it is")
    return said


def _between(between: tuple[float, float] | None, percent: str, digits: int = 4) -> str:
    if between is None or (math.isfinite(between[1]) and between[1] <= between[0] * (1 + 1e-9)):
        return ""
    if between[0] == 0 and math.isinf(between[1]):
        return "not known"
    return f"{percent} [{between[0]:.{digits}g}, {between[1]:.{digits}g}]"


def plan_record(plan: Plan) -> dict[str, Any]:
    """A plan as JSON can hold it, with the public names."""
    names = (
        "question asked N D C loss tokens_per_param lower upper level N_interval D_interval C_interval exponent_N "
        "exponent_D exponent_N_interval inference_tokens serving_flops total_flops unique_tokens epochs device_hours "
        "days money series law params_convention interval_source"
    ).split()
    record: dict[str, Any] = {name: _clean(getattr(plan, name)) for name in names}
    record["fixed"] = dict(plan.fixed)
    shape = plan.architecture
    record |= {"architecture": None, "floor": None}
    if shape is not None:
        sizes = "n_layers d_emb n_heads d_ff vocab_size T_max tied params N off_by source".split()
        record["architecture"] = {name: getattr(shape, name) for name in sizes}
        record["architecture"]["counts"] = shape.counts.groups
        record["architecture"]["recipes"] = {
            name: {"learning_rate": rule.learning_rate, "batch_tokens": rule.batch_tokens, "source": rule.source}
            for name, rule in shape.recipes.items()
        }
        floor = plan.floor
        record["floor"] = {key: _clean(getattr(floor, key)) for key in ("loss_lower", "loss_upper", "regime")}
    record["notes"] = [note_record(note) for note in plan.notes]
    return record


def _clean(value: Any) -> Any:
    """Replace what JSON cannot hold: infinities and NaN become null."""
    if isinstance(value, tuple):
        return [_clean(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
