"""The printed page of a plan: how far to trust it, the answer, what it takes, and what to know before using it."""

from __future__ import annotations

import math
from typing import Any

from scalefit._text import count, folded, trust
from scalefit.extrapolation import LEAP
from scalefit.flops import QUANTITIES, quantity
from scalefit.planning.plan_settings import settings_text


def plan_text(plan: Any) -> str:
    """Return the printed plan: the answer, its intervals, its cost, and its notes."""
    best = "lowest loss" if plan.target == "loss" else f"best {plan.target}"
    unit = "" if plan.unit == "-" else f" {plan.unit}"
    asked = {
        "C": best + " for C = {} FLOP",
        "loss": "cheapest way to a " + plan.target + " of {}" + unit,
        "N": "best use of N = {} parameters",
        "D": "best use of D = {} tokens",
        "ratio": "budget whose optimum has {} tokens per parameter",
    }[plan.question].format(quantity(plan.question, plan.asked))
    held = "".join(f", {key} held at {written(key, value)}" for key, value in plan.fixed.items())
    lines = [f"TRUST: {verdict(plan)}", f"Plan: {asked}{held}   law {plan.law}"]
    percent = f"{100 * plan.level:.6g}%"
    rows = [
        ("N", plan.N, plan.N_interval, f"parameters ({plan.params_convention})"),
        ("D", plan.D, plan.D_interval, "tokens"),
        ("C", plan.C, plan.C_interval, "FLOP (6ND)"),
    ]
    for name, value, between, counted in rows:
        if not math.isnan(value):  # a law in C alone leaves N and D open
            lines.append(f"  {name:<6}{written(name, value):<12}{_between(between, percent, name):<36}{counted}")
    loss = None if plan.lower is None or plan.upper is None else (plan.lower, plan.upper)
    target = f"{plan.target:<5} "
    lines.append(f"  {target}{plan.loss:<12.5g}{_between(loss, percent, plan.target):<36}{plan.unit}".rstrip())
    for name, value in plan.at.items():
        lines.append(f"  {name} {'chosen' if name in plan.chosen else 'held'} at {value:.4g}")
    growth = "" if math.isnan(plan.exponent_N) else f"; N* ~ C^{plan.exponent_N:.4f}"
    if plan.exponent_N_interval is not None:
        growth += f" [{plan.exponent_N_interval[0]:.3f}, {plan.exponent_N_interval[1]:.3f}]"
    if not math.isnan(plan.N):
        lines.append(f"  {plan.tokens_per_param:.4g} tokens per parameter{growth}")
    if plan.epochs is not None:
        lines.append(f"  {plan.epochs:.3g} passes over {count(float(plan.unique_tokens or math.nan))} unique tokens")
    if plan.inference_tokens:
        lines.append(
            f"  serving {count(plan.inference_tokens)} tokens takes {plan.serving_flops:.3g} FLOP, "
            f"{plan.serving_flops / plan.total_flops:.0%} of {plan.total_flops:.4g} in all"
        )
    if plan.hardware is not None:
        lines.append("  " + plan.hardware.takes(plan.C, plan.serving_flops))
    if plan.architecture is not None:
        lines += ["  " + line for line in str(plan.architecture).splitlines()]
    if plan.hyperparameters is not None and plan.settings is not None:
        lines.append("  " + settings_text(plan.hyperparameters, plan.settings))
    sources = {
        "bootstrap": "intervals: bootstrap draws of the fit",
        "refits": "intervals: refits to resampled runs, as no covariance describes so loose a law",
        "robust covariance": "intervals: draws from the fit's robust covariance; .bootstrap(cluster='shared') refits",
        "posterior": "intervals: the forecast's posterior for N and D, its calibrated interval for the loss",
        "none": "no intervals for N and D: the law comes without draws",
    }
    lines.append(f"  {sources.get(plan.interval_source, f'intervals: {plan.interval_source}')}")
    if plan.minimum_loss is not None:
        lines += ["  " + line for line in plan.minimum_loss.brief().splitlines()]
    lines += [f"  {note}" for note in plan.notes]
    return "\n".join(folded(line) for line in lines)


def verdict(plan: Any) -> str:
    """``yes``, ``with care`` or ``NO``, with the reason or the number of warnings."""
    warned = sum(note.severity == "warning" for note in plan.notes)
    if not plan.result.trusted:
        return trust(False, warned, "the fit behind it must not be trusted")
    bare = "a law's constants alone, without the errors of its runs" if plan.interval_source == "none" else ""
    found = doubts(plan)
    return trust(not found, warned, "; ".join(found) or bare)


def doubts(plan: Any) -> list[str]:
    """Why the numbers of a plan may be wrong by orders of magnitude."""
    parts = []
    reach = max((note.details.get("C", 0.0) for note in plan.notes if note.code == "beyond_reach"), default=0.0)
    if reach > LEAP:
        parts.append(f"the plan has {reach:.2g} times the compute of the largest run")
    if plan.N_interval is not None and plan.N_interval[1] > LEAP * plan.N_interval[0]:
        parts.append("the runs leave N open by more than 1,000 times")
    return parts


def written(name: str, value: float) -> str:
    """A number as people write it: 70.6B parameters, 1.5T tokens, 5.76e+23 FLOP, a loss of 1.9831."""
    return quantity(name, value) if name in QUANTITIES else f"{value:.5g}"


def _between(between: tuple[float, float] | None, percent: str, name: str) -> str:
    if between is None or (math.isfinite(between[1]) and between[1] <= between[0] * (1 + 1e-5)):
        return ""
    if between[0] == 0 and math.isinf(between[1]):
        return "not known"
    return f"{percent} [{written(name, between[0])}, {written(name, between[1])}]"
