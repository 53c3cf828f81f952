"""Limit of n-gram losses with ever more text and ever longer contexts: an extrapolation, not a bound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalefit._typing import Array
from scalefit.corpora.learning import Learning

#: Contexts whose gains are extrapolated, and sizes of text that are needed (choices).
_LEAST_CONTEXTS, _LEAST_SIZES = 3, 3


@dataclass(frozen=True, slots=True)
class Extrapolation:
    """Losses [nat/token] of n-grams of endless context trained on endless text, by the forms that were tried.

    Attributes
    ----------
    lower, upper : float
        The lowest and the highest of the forms [nat/token], with the error of the held-out part.
    forms : dict
        Name of a form to what it gives [nat/token].
    context : int
        Longest context that brought a gain beyond its error [tokens].
    """

    lower: float
    upper: float
    forms: dict[str, float]
    context: int


def extrapolate(learning: Learning, context: int, history: float, reach: float) -> Extrapolation | None:
    """Extrapolate losses over text and context by every pair of forms; None where the text is too short.

    Over text, each context by itself: no more gain, or each doubling brings the same share of the last (a power of the
    text with a floor). Over context, from the gains of the last contexts: none further, gains that fall by the same
    share (an exponential), or as a power of the context. What the piece's own history brings is taken off, or not.

    Parameters
    ----------
    learning : Learning
        Losses by size of the text and context.
    context : int
        Longest context that brought a gain beyond its error [tokens].
    history : float
        What the history of a piece brings beyond that [nat/token].
    reach : float
        Half width of the interval of the held-out part's error [nat/token].
    """
    if len(learning.tokens) < _LEAST_SIZES:
        return None
    flat, limit = learning.loss[-1], learning.limit()[0]
    forms: dict[str, float] = {}
    for name, losses in (("no more text", flat), ("ever more text", np.where(np.isfinite(limit), limit, flat))):
        # a gain within its error may be noise, or a context that this much text does not yet teach
        for last in dict.fromkeys((context, int(np.argmin(losses)))):
            found = _over_context(losses, last)
            forms |= {f"{name}, {last} back, {form}": max(value, 0.0) for form, value in found.items()}
    lower, upper = min(forms.values()) - max(history, 0.0), max(forms.values())
    return Extrapolation(max(lower - reach, 0.0), upper + reach, forms, context)


def _over_context(losses: Array, context: int) -> dict[str, float]:
    """Where the losses (n_orders,) go beyond a context, by each form [nat/token]."""
    forms = {"no further": float(losses[context])}
    gains = (losses[:context] - losses[1 : context + 1])[-_LEAST_CONTEXTS:]
    if gains.size < _LEAST_CONTEXTS or not (gains > 0).all():
        return forms
    n = np.arange(context + 1 - gains.size, context + 1)  # the contexts that brought these gains
    slope = float(np.polyfit(n, np.log(gains), 1)[0])
    if slope < 0:
        forms["exponential"] = float(losses[context] - gains[-1] / (np.exp(-slope) - 1))
    power = -float(np.polyfit(np.log(n), np.log(gains), 1)[0])
    # the sum of c m^-p beyond n is close to c n^(1-p)/(p-1); gains that fall more slowly have no finite sum
    forms["power"] = float(losses[context] - gains[-1] * n[-1] / (power - 1)) if power > 1 else 0.0
    return forms
