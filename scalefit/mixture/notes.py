"""Notes on an optimal mixture: extrapolation, flatness, luck, and what the runs do not determine."""

from __future__ import annotations

import numpy as np

from scalefit.errors import Note, Severity, arg, by_severity, way
from scalefit.mixture.result import OptimalMixture

#: A mixture nearer than this part of the tokens to a blend of tried ones is one; further than the second, and than the
#: tried mixtures are from one another, it is not trusted.
INSIDE, _FAR = 0.005, 0.2
#: A share further than this outside its tried range is named.
_OUTSIDE = 0.01
#: A share that can move by this much at little cost is named.
_FLAT = 0.3


def notes_of(found: OptimalMixture) -> tuple[Note, ...]:
    """Notes on a mixture, the most severe first."""
    notes = [
        *_fits(found),
        *_units(found),
        *_beyond(found),
        *_open(found),
        *_bounds(found),
        *_gain(found),
        *_flat(found),
        *_luck(found),
    ]
    return tuple(sorted(notes, key=by_severity))


def _listed(items: list[str], most: int = 6) -> str:
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")


def _fits(found: OptimalMixture) -> list[Note]:
    if found.fits_trusted and not np.isnan(found.interval).any():
        return []
    why = "no draw of the laws' parameters gave an optimum" if found.fits_trusted else "a law behind it is not trusted"
    if found.open_parameters:
        why += f" (not determined: {_listed(list(found.open_parameters))})"
    text = f"The mixture was computed, and {why}. Do not use it: print the fits, and add mixtures or merge domains."
    return [Note("untrusted_fits", "error", text, {"parameters": list(found.open_parameters)})]


def _units(found: OptimalMixture) -> list[Note]:
    if len(found.units) == 1:
        return []
    text = (
        f"Losses in different units ({', '.join(found.units)}) were added with these weights: a weight then holds a "
        "conversion too. Give all losses in one unit, or put the conversion into the weights."
    )
    return [Note("several_units", "warning", text, {"units": list(found.units)})]


def _beyond(found: OptimalMixture) -> list[Note]:
    if found.beyond <= INSIDE:
        return []
    low, high = found.tried
    out = [
        f"{domain} {share:.2f} (tried {a:.2f} to {b:.2f})"
        for domain, share, a, b in zip(found.domains, found.shares, low, high, strict=True)
        if share > b + _OUTSIDE or share < a - _OUTSIDE
    ]
    which = f"; outside of its range alone: {_listed(out)}" if out else ""
    usual = f"nine in ten mixtures tried are within {100 * found.usual:.0f} % of a blend of the others"
    far = found.beyond > max(_FAR, found.usual)
    worth = found.blend_loss - found.loss + found.optimism
    sentence = "This is extrapolation: " if far or out else ""
    text = (
        f"{sentence}{100 * found.beyond:.0f} % of the tokens would have to move for a blend of tried mixtures "
        f"({usual}){which}. The best blend of tried ones{way(', .blend,', '')} costs "
        f"{max(worth, 0.0):.3g} {found.unit} more by the laws. Run this mixture or one on the way to it before relying "
        f"on it, or keep to the ranges of the runs ({arg('bounds', 'tried')})."
    )
    severity: Severity = "error" if far else "warning" if found.beyond > found.usual or out else "info"
    return [Note("extrapolation", severity, text, {"beyond": found.beyond, "usual": found.usual})]


def _open(found: OptimalMixture) -> list[Note]:
    names = list(found.undetermined)
    if not names or np.isnan(found.interval).any():
        return []
    text = (
        f"The runs leave open how much of {_listed(names)} is best: the interval covers nearly all that was allowed. "
        "The loss is known better than the shares; add mixtures that vary these, or take any that is cheap."
    )
    return [Note("undetermined", "warning", text, {"domains": names})]


def _bounds(found: OptimalMixture) -> list[Note]:
    low, high = found.bounds
    held = [
        f"{domain} at {share:.3g}"
        for domain, share, a, b in zip(found.domains, found.shares, low, high, strict=True)
        if a < b and ((share == a and a > 0) or (share == b and b < 1))
    ]
    if not held:
        return []
    text = (
        f"Bounds decide the share of {_listed(held)}: the laws would go further. Widen {arg('bounds')} "
        "where that is allowed."
    )
    return [Note("at_bound", "info", text, {"domains": held})]


def _gain(found: OptimalMixture) -> list[Note]:
    best = found.comparisons[0]
    if not best.lower <= 0:
        return []
    text = (
        f"The interval of the gain over the best mixture tried (row {found.best_tried}) reaches {best.lower:.3g} "
        f"{found.unit}: the runs do not show that this mixture is better. Keep that one, or run both."
    )
    return [Note("gain_not_shown", "warning", text, {"lower": best.lower, "upper": best.upper})]


def _flat(found: OptimalMixture) -> list[Note]:
    wide = [
        f"{domain} {a:.2f} to {b:.2f}"
        for domain, a, b in zip(found.domains, *found.flat, strict=True)
        if b - a >= _FLAT
    ]
    if not wide:
        return []
    text = (
        f"The optimum is flat: at {found.within:g} {found.unit} more, a share may be {_listed(wide)}, the others "
        "following it. Choose among these by cost or by what there is of each."
    )
    return [Note("flat", "info", text, {"within": found.within})]


def _luck(found: OptimalMixture) -> list[Note]:
    text = (
        f"Of {found.n_tried} mixtures the one with the lowest measured loss (row {found.best_tried}) was "
        f"{abs(found.luck):.3g} {found.unit} {'below' if found.luck > 0 else 'above'} what the laws give for it; the "
        f"gain is counted from the laws' value, as the lowest of many is partly luck. From the laws' own lowest value "
        f"{found.optimism:.3g} {found.unit} of luck was taken off. Compare runs, not measured minima."
    )
    return [Note("selection", "info", text, {"luck": found.luck, "optimism": found.optimism})]
