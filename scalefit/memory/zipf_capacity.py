"""How many facts a model of a given width can store, by three theories, and the exponents under Zipf's law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit._typing import ArrayLike
from scalefit.errors import ArgumentError
from scalefit.memory._conventions import as_given, broadcast, choice, positive, scalar

#: Exponent m of each capacity P ~ d^m in the width, up to logarithms.
CAPACITIES = {"width": 1.0, "parameters": 2.0, "sequences": 0.5}
#: The line that Nichani et al.'s code draws: 1.3 P ln P = d^2.
_NICHANI = 1.3


def storable_facts(width: ArrayLike, capacity: str = "parameters", T_max: ArrayLike = 1.0) -> Any:
    r"""Return how many facts P a memory of a given width holds, by one of three theories.

    ``"width"``: P = d, for a sum of outer products with fixed weights and few values, of which those of the P most
    frequent facts are 1 (Cabannes et al. [1]_). ``"parameters"``: 1.3 P ln P = d^2, for a trained matrix (Nichani et
    al. [2]_, whose code draws that line). ``"sequences"``: one pattern for each training sequence, balanced at
    P = sqrt(pi T_max d) (Niu et al. [3]_, Z = 1 at the volume radius).

    Parameters
    ----------
    width : array_like
        Embedding width d.
    capacity : {"parameters", "width", "sequences"}
        The theory.
    T_max : array_like
        Tokens of a sequence; only ``"sequences"`` reads it.

    Returns
    -------
    float or ndarray
        Facts P, at least 1.

    References
    ----------
    .. [1] Cabannes, Dohmatob and Bietti (2024), arXiv:2310.02984.
    .. [2] Nichani, Lee and Bietti (2024), arXiv:2412.06538.
    .. [3] Niu, Bai, Deng and Han (2024), arXiv:2405.08707, section 5.

    Examples
    --------
    >>> storable_facts([64, 128, 256]).round()
    array([ 506., 1695., 5816.])
    >>> round(storable_facts(768, "sequences", T_max=1024))
    1572
    """
    choice("capacity", capacity, tuple(CAPACITIES))
    d, context = broadcast(width=positive("width", width), T_max=positive("T_max", T_max))
    if capacity == "width":
        facts = np.maximum(d, 1.0)
    elif capacity == "sequences":
        facts = np.sqrt(np.pi * d * context)
    else:
        from scipy.special import wrightomega

        # P ln P = y has the solution y / W(y), and W(y) is Wright's omega of ln y
        product = d**2 / _NICHANI
        facts = np.maximum(product / np.real(wrightomega(np.log(product))), 1.0)
    return as_given(np.asarray(facts), width, T_max)


def width_for_facts(facts: ArrayLike, capacity: str = "parameters", T_max: ArrayLike = 1.0) -> Any:
    """Return the width that a number of facts needs: the inverse of `storable_facts`.

    Parameters
    ----------
    facts : array_like
        Facts P, above 1.
    capacity, T_max
        As in `storable_facts`.

    Examples
    --------
    >>> round(width_for_facts(storable_facts(100.0)), 6)
    100.0
    """
    choice("capacity", capacity, tuple(CAPACITIES))
    P, context = broadcast(facts=positive("facts", facts), T_max=positive("T_max", T_max))
    if capacity == "width":
        d = P
    elif capacity == "sequences":
        d = P**2 / (np.pi * context)
    else:
        if np.any(P <= 1):
            raise ArgumentError(f"facts holds {P.min():g}", "nothing was computed", "Give numbers above 1")
        d = np.sqrt(_NICHANI * P * np.log(P))
    return as_given(np.asarray(d), facts, T_max)


@dataclass(frozen=True)
class ZipfExponents:
    """Exponents of the error of a memory under Zipf's law, for ever more keys; made by `zipf_exponents`.

    Attributes
    ----------
    zipf : float
        Zipf's exponent a of the inputs.
    capacity : str
        The theory of the capacity.
    width : float
        Exponent of the error in the width d, m (a - 1) where P ~ d^m.
    parameters : float
        Exponent in the number of parameters, where it grows like d^2: half of that.
    data : float
        Exponent in the number of distinct draws, 1 - 1/a.
    """

    zipf: float
    capacity: str
    width: float
    parameters: float
    data: float


def zipf_exponents(
    zipf: float | None = None, *, data: float | None = None, capacity: str = "parameters"
) -> ZipfExponents:
    """Return the exponents in width, parameters and data that one Zipf exponent fixes.

    One relation ties both: ``data = width / (m + width)`` where P ~ d^m. These are limits; at the sizes of an
    experiment compare a measured slope with `ZipfFacts.slope` instead. The theory is about a 0-1 error that can reach
    zero: it has no entropy floor, and says nothing about a cross-entropy.

    Parameters
    ----------
    zipf : float, optional
        Zipf's exponent a of the inputs, above 1.
    data : float, optional
        A data exponent to start from instead, between 0 and 1: a = 1 / (1 - data).
    capacity : {"parameters", "width", "sequences"}
        Theory of the capacity, as in `storable_facts`.

    Raises
    ------
    ArgumentError
        Both numbers or neither are given, or one is outside its range.

    Examples
    --------
    Chinchilla's data exponent on the 240 points of arXiv:2404.10102, and what that asks of the exponent in N, which is
    0.347 there:

    >>> for capacity in ("parameters", "width", "sequences"):
    ...     found = zipf_exponents(data=0.367, capacity=capacity)
    ...     print(capacity, round(found.zipf, 2), round(found.parameters, 3))
    parameters 1.58 0.58
    width 1.58 0.29
    sequences 1.58 0.145
    """
    choice("capacity", capacity, tuple(CAPACITIES))
    if (zipf is None) == (data is None):
        raise ArgumentError("zipf and data are both given or both missing", "nothing was computed", "Give one of them")
    if data is not None:
        share = scalar("data", data)
        if share >= 1:
            raise ArgumentError(f"data is {data!r}", "nothing was computed", "Give an exponent between 0 and 1")
        a = 1.0 / (1.0 - share)
    else:
        a = scalar("zipf", zipf)
        if a <= 1:
            raise ArgumentError(f"zipf is {zipf!r}", "nothing was computed", "Give an exponent above 1")
    width = CAPACITIES[capacity] * (a - 1.0)
    return ZipfExponents(a, capacity, width, width / 2.0, 1.0 - 1.0 / a)


def tied_data_exponent(width: ArrayLike, power: float) -> Any:
    """Return the data exponent that goes with an exponent in the width where P ~ d^power: w / (power + w).

    Parameters
    ----------
    width : array_like
        Exponent of the error in the width.
    power : float
        Exponent m of the capacity in the width.

    Examples
    --------
    >>> found = zipf_exponents(1.5)
    >>> abs(tied_data_exponent(found.width, 2.0) - found.data) < 1e-12
    True
    """
    w = positive("width", width)
    return as_given(np.asarray(w / (scalar("power", power) + w)), width)
