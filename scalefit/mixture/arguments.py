"""Arguments of `optimal_mixture`, checked: fits, weights, bounds and a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalefit._arguments import check_mapping, check_number
from scalefit._typing import Array
from scalefit.errors import ArgumentError, arg
from scalefit.fitting.mixtures import shares_of
from scalefit.fitting.result import FitResult
from scalefit.laws._inputs import check_inputs, spread_shares


def named_fits(fits: Any) -> dict[str, FitResult]:
    """Fits by the name of their loss; raise if there are none, or if their laws have no shares."""
    if isinstance(fits, FitResult):
        fits = {"loss": fits}
    if not isinstance(fits, Mapping) or not fits or not all(isinstance(one, FitResult) for one in fits.values()):
        raise ArgumentError(
            f"A {type(fits).__name__} holds no fits",
            "nothing was computed",
            "Pass what sf.fit gave for several losses",
        )
    for name, result in fits.items():
        if not result.law.shares:
            raise ArgumentError(
                f"The law {result.law.name} of {name} reads no shares of a mixture",
                "nothing was computed",
                "Fit data_mixing, for one",
            )
    return {str(name): result for name, result in fits.items()}


def domains_of(fits: Mapping[str, FitResult]) -> tuple[str, ...]:
    """Domains that all the fits share."""
    first = next(iter(fits.values())).law.domains()
    for name, result in fits.items():
        if set(result.law.domains()) != set(first):
            raise ArgumentError(
                f"{name} is of the domains {', '.join(result.law.domains())}, others of {', '.join(first)}",
                "nothing was computed",
                "Fit all losses to the same shares",
            )
    return first


def weights_of(given: Any, names: list[str]) -> Array:
    """Weight of each loss (k,); by default they sum to 1."""
    if given is None:
        return np.full(len(names), 1.0 / len(names))
    weights = check_mapping("weights", given, "{'loss_web': 0.5, 'loss_code': 0.5}")
    unknown = [str(name) for name in weights if name not in names]
    if unknown:
        raise ArgumentError(
            f"Weights name {', '.join(unknown[:5])}, and the losses are {', '.join(names)}",
            "nothing was computed",
            "Name these",
        )
    found = np.array([check_number(f"weights['{name}']", weights.get(name, 0.0)) for name in names])
    if not np.isfinite(found).all() or not found.any():
        raise ArgumentError(f"{arg('weights', weights)} are all 0", "nothing was computed", "Give a number to a loss")
    return found


def bounds_of(given: Any, domains: tuple[str, ...]) -> tuple[Array, Array]:
    """Lower and upper bounds (n,) of the shares."""
    lower, upper = np.zeros(len(domains)), np.ones(len(domains))
    for name, pair in check_mapping("bounds", given, "{'web': (0, 0.8)}").items():
        key = str(name) if str(name) in domains else str(name).partition("_")[2]
        if key not in domains:
            raise ArgumentError(
                f"Bounds name {str(name)!r:.60}, and the domains are {', '.join(domains)}",
                "nothing was computed",
                "Name these",
            )
        entry = f"bounds['{key}']"
        ends = pair if isinstance(pair, (tuple, list)) else (pair, pair)
        if len(ends) != 2:
            raise ArgumentError(f"{arg(entry, pair)} is not (lower, upper)", "nothing was computed", "Correct it")
        at = domains.index(key)
        low = 0.0 if ends[0] is None else check_number(entry, ends[0])
        high = 1.0 if ends[1] is None else check_number(entry, ends[1])
        if not 0 <= low <= high <= 1:
            raise ArgumentError(
                f"{arg(entry, (low, high))} does not lie between 0 and 1, the lower first",
                "nothing was computed",
                "Correct it",
            )
        lower[at], upper[at] = low, high
    if lower.sum() > 1 + 1e-12 or upper.sum() < 1 - 1e-12:
        which = (
            f"the lower bounds sum to {lower.sum():.4g}" if lower.sum() > 1 else f"the upper ones to {upper.sum():.4g}"
        )
        raise ArgumentError(f"No mixture keeps these bounds, as {which}", "nothing was computed", "Change them")
    # What the others' bounds leave: ends that no mixture reaches are none.
    return np.maximum(lower, 1 - (upper.sum() - upper)), np.minimum(upper, 1 - (lower.sum() - lower))


def tried_ranges(fits: Mapping[str, FitResult]) -> dict[str, tuple[float, float]]:
    """Smallest and largest share of each domain among the runs."""
    found: dict[str, tuple[float, float]] = {}
    for result in fits.values():
        for domain, column in zip(
            result.law.domains(), shares_of(result.law, result.problem.raw_columns).T, strict=True
        ):
            low, high = found.get(domain, (1.0, 0.0))
            found[domain] = (min(low, float(column.min())), max(high, float(column.max())))
    return found


def held_inputs(result: FitResult, at: Any) -> dict[str, float]:
    """Further inputs of a law, from `at`."""
    shares = {f"{result.law.shares}_{domain}" for domain in result.law.domains()}
    others = [name for name in result.law.inputs if name not in shares]
    given = check_mapping("at", at, "{'N': 1e9}")
    unknown = sorted(set(given) - set(others))
    if unknown:
        known = f"it reads {', '.join(others)} besides the shares" if others else "it reads nothing but the shares"
        raise ArgumentError(
            f"{arg('at')} names {', '.join(unknown)}, and {known}", "nothing was computed", "Leave it out"
        )
    even = {name: 1.0 / len(shares) for name in shares}
    columns = check_inputs(result.law, {**given, **even})
    return {name: float(columns[name]) for name in others}


def mixture_of(given: Any, law: Any, domains: tuple[str, ...]) -> Array:
    """Shares (n,) of a mixture that a caller names, in the order of `domains`."""
    if isinstance(given, Mapping) or hasattr(given, "to_dict"):
        asked = spread_shares(law, {law.shares: given})
        columns = check_inputs(law, {**asked, **{n: 1e9 for n in law.inputs if not n.startswith(f"{law.shares}_")}})
        return np.array([float(columns[f"{law.shares}_{domain}"]) for domain in domains])
    values = np.asarray(given, float)
    if values.shape != (len(domains),) or (values < 0).any() or abs(values.sum() - 1) > 0.01:
        raise ArgumentError(
            f"{arg('baseline', shown=f'{given!r:.80}')} is not a mixture of {', '.join(domains)}",
            "nothing was computed",
            "Give a share for each, which sum to 1",
        )
    return np.asarray(values / values.sum())
