"""Words of a comparison of recipes; no verdict ever calls two recipes equal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scalefit._text import percent
from scalefit.comparison.recipes_arm import Arm, Reading
from scalefit.flops import quantity

_ANYTHING = 100.0  # upper end over lower end: such an interval is not a finding


def holm(p: Sequence[float]) -> list[float]:
    """Return p values that may be read together, by Holm's steps; NaN stays NaN.

    Examples
    --------
    >>> [round(float(value), 3) for value in holm([0.01, 0.5, 0.03])]
    [0.03, 0.5, 0.06]
    """
    values = np.asarray(p, float)
    out = np.full(len(values), np.nan)
    order = [i for i in np.argsort(values) if np.isfinite(values[i])]
    worst = 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, (len(order) - rank) * values[i]))
        out[i] = worst
    return [float(value) for value in out]


def undetermined(largest: Reading, centre: Reading) -> bool:
    """Whether intervals so wide leave nothing to say, of any compute."""
    return min(row.upper / max(row.lower, 1e-300) for row in (largest, centre)) > _ANYTHING


def verdict(arm: Arm, largest: Reading, centre: Reading, sure: tuple[bool, bool]) -> str:
    """One sentence; `sure` says for each reading whether it remains when all recipes are compared together."""
    found, ratios = _verdict(arm, largest, centre, sure), arm.ratios_confounded
    if not ratios:
        return found
    return (
        f"{found[:-1]}; this is the effect of the recipe and of {ratios[1]:.3g} tokens per parameter in place of "
        f"{ratios[0]:.3g} together."
    )


def _verdict(arm: Arm, largest: Reading, centre: Reading, sure: tuple[bool, bool]) -> str:
    label = arm.b.label
    if arm.apart:
        return _of_runs_apart(arm, largest)
    if undetermined(largest, centre):
        return f"{label}: these runs do not determine the multiplier; add runs, or look for outliers."
    signs = [
        (1 if reading.lower > 1 else -1 if reading.upper < 1 else 0) * held
        for reading, held in zip((largest, centre), sure, strict=True)
    ]
    at = f"at {quantity('C', largest.C)} FLOP"
    if signs[0] and signs[0] == signs[1]:
        return f"{label} is {'better' if signs[0] > 0 else 'worse'}: {largest.words()} times the compute {at}."
    if signs[1]:
        way, told = ("better", "worse") if signs[1] > 0 else ("worse", "better")
        over = f"{label} was {way} over these runs ({centre.words()} near {quantity('C', centre.C)} FLOP), but"
        if signs[0]:
            return f"{over} is {told} {at}: {largest.words()}."
        together = "" if largest.lower <= 1 <= largest.upper else " when all recipes are compared together"
        return f"{over} {at} the difference is not clear{together}: {largest.words()}."
    if signs[0]:
        way = "better" if signs[0] > 0 else "worse"
        at_all = f"but not over all of these runs: {centre.words()} at their centre"
        return f"{label} is {way} {at} ({largest.words()}), {at_all}."
    narrow = centre if centre.upper / centre.lower < largest.upper / largest.lower else largest
    ends = (
        f"one above x {narrow.upper:.3g} or below x {narrow.lower:.3g} is excluded near {quantity('C', narrow.C)} FLOP"
    )
    if not narrow.lower <= 1 <= narrow.upper:
        alone = f"alone it is {narrow.words()} near {quantity('C', narrow.C)} FLOP"
        return f"{label}: no clear difference when all recipes are compared together; {alone}."
    p = max(narrow.p_better, 1 - narrow.p_better)
    if p >= _LIKELY:
        return f"{label}: no difference seen that is certain; {likely(narrow)}; {ends}."
    return f"{label}: no difference seen; {ends}."


def _of_runs_apart(arm: Arm, bound: Reading) -> str:
    """Say what follows where the two have no loss in common: lower losses of more compute say nothing of the recipe."""
    shown = f"{bound.words()} times the compute at {quantity('C', bound.C)} FLOP"
    if bound.lower > 1 or bound.upper < 1:
        way = "better" if bound.lower > 1 else "worse"
        return f"{arm.b.label} looks {way}, but the multiplier is not determined: {bound.why} ({shown})."
    more = "more" if arm.apart == "below" else "less"
    return f"{arm.b.label}: which is better is not determined: {bound.why}, but had {more} compute ({shown})."


def text(arm: Arm, rows: tuple[Reading, Reading], sentence: str, level: float) -> list[str]:
    """The lines that are printed for one recipe."""
    largest, centre = rows
    lines = [sentence, *_observed(arm)]
    if arm.apart or undetermined(largest, centre):
        return lines
    lines.append(f"  over the runs compared (near {quantity('C', centre.C)} FLOP): {centre.words()}")
    lines.append(
        f"  at the most expensive common run ({quantity('C', largest.C)} FLOP): {largest.words()}{better(largest)}"
    )
    far = arm.read(10 * largest.C, level)
    beyond = ", ".join(filter(None, (far.words(), likely(far))))
    apart = "extrapolated as one law" if arm.fit.differ == "nothing" else "extrapolated, the two laws may differ"
    lines.append(f"  ten times beyond: {beyond}; {apart}")
    factor, low, high, p = arm.trend(level)
    if np.isfinite(factor):
        sign = "" if p < 0.05 else "no sign of one, "
        lines.append(f"  trend: x {factor:.3g} per decade [{low:.3g}, {high:.3g}] ({sign}p {p:.2g})")
    lines.append(f"  read {arm.path.words()}; intervals of {percent(level)}")
    needed = arm.runs_needed()
    return [*lines, f"  runs per recipe that would show 5 %: {needed:.0f}"] if np.isfinite(needed) else lines


def _observed(arm: Arm) -> list[str]:
    """What the runs show at the same N and D, which needs no law."""
    gaps = arm.differences()
    if not len(gaps):
        return []
    known = "N and D" if np.isfinite(arm.a.N).all() and np.isfinite(arm.b.N).all() else "compute"
    lower, mean = int((gaps < 0).sum()), float(gaps.mean())
    side = "lower" if mean < 0 else "higher"
    cells = f"its loss is lower in {lower} of {len(gaps)} cells"
    return [f"  at the same {known} {cells}, on average {abs(mean):.2g} {arm.a.unit} {side}"]


def better(reading: Reading) -> str:
    """The probability of being better, in brackets."""
    return "" if np.isnan(reading.p_better) else f" (P better {reading.p_better:.3f})"


#: Probability from which a multiplier is called likely better or worse; a choice, not measured.
_LIKELY = 0.8


def likely(reading: Reading) -> str:
    """A multiplier that is extrapolated or not certain, in words: no yes or no."""
    p = reading.p_better
    if np.isnan(p):
        return ""
    if max(p, 1 - p) < _LIKELY:
        return f"better or worse (P better {p:.2f})"
    return f"likely {'better' if p >= 0.5 else 'worse'} (P {max(p, 1 - p):.2f})"
