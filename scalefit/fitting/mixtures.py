"""Fits of laws that read the shares of a mixture: their columns, the held constant, and what mixtures determine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scalefit._arguments import check_mapping
from scalefit._numeric import levelled, settings
from scalefit._text import shortlist
from scalefit._typing import Array
from scalefit.errors import FitError
from scalefit.laws._base import Law
from scalefit.laws._mixtures import reference_domain
from scalefit.tables.runs import name_columns
from scalefit.tables.shares import share_columns, whole

#: Singular value of the shares, relatively, below which a direction was not varied.
_VARIED = 1e-6


def with_shares(
    runs: Any, law: type[Law], columns: Mapping[str, Any] | None, inputs: Mapping[str, Any] | None
) -> tuple[Any, type[Law]]:
    """Return a table whose columns of shares are the law's inputs, and the law for the table's domains.

    Raises
    ------
    DataError
        The table has no shares, or they do not sum to 1.
    """
    named = check_mapping("inputs", inputs, "{'r': ['share_web', 'share_code']}")
    group = named.pop(law.shares, None)
    known = law.domains() if ":" in law.name else ()
    tolerance = law.declared_shares().tolerance
    one_by_one = [f"{law.shares}_{domain}" for domain in known]
    if group is None and known and set(one_by_one) <= set(named):
        group = [named.pop(name) for name in one_by_one]
    found = share_columns(runs, law.shares, group, known, tolerance)
    law = law if known else law.over(list(found))
    renamed = dict(zip((f"{law.shares}_{domain}" for domain in law.domains()), found.values(), strict=True))
    table = name_columns(runs, columns, {**named, **renamed}, {"loss": law.target})
    return whole(table, list(renamed)), law


def laws_over(
    runs: Any, laws: Sequence[type[Law]], columns: Mapping[str, Any] | None, inputs: Mapping[str, Any] | None
) -> tuple[Any, list[type[Law]]]:
    """Return a table that several laws of one mixture can be fitted to, and each of them for its domains."""
    table, first = with_shares(runs, laws[0], columns, inputs)
    return table, [law if ":" in law.name else law.over(first.domains()) for law in laws]


def held_constants(law: type[Law], columns: Mapping[str, Array], loss: Array, touched: set[str]) -> dict[str, float]:
    """Values of what no table determines, unless the caller fixed or tied one of these parameters."""
    held = {}
    for name, value in law.references().items():
        each = [f"{name}_{domain}" for domain in law.domains()]
        if not touched & set(each):
            held[each[reference_domain(shares_of(law, columns), loss, law.reference_by)]] = value
    return held


def shares_of(law: type[Law], columns: Mapping[str, Array]) -> Array:
    """Shares (n, k) of the runs, in the order of the law's domains."""
    return np.stack([columns[f"{law.shares}_{domain}"] for domain in law.domains()], axis=1)


def refuse_few_mixtures(law: type[Law], columns: Mapping[str, Array], n_free: int) -> None:
    """Raise where there are fewer mixtures than a law of their shares has parameters, or a direction was never varied.

    Raises
    ------
    FitError
        With what the mixtures determine and what not.
    """
    shares, domains = shares_of(law, columns), law.domains()
    others = [columns[key] for key in law.inputs if not key.startswith(f"{law.shares}_")]
    distinct = int(settings([*(levelled(share, least=1.0) for share in shares.T), *others]).max()) + 1
    # Of the triangle alone: the left vectors of a long table would be as many numbers as it has rows, squared.
    triangle = np.linalg.qr(shares - shares.mean(axis=0), mode="r")
    values, vectors = np.linalg.svd(triangle, full_matrices=True)[1:]
    rank = int((values > _VARIED * max(float(values[0]), 1e-300)).sum()) if values[0] > _VARIED else 0
    free = len(domains) - 1
    # Directions without variation, the sum left out: domains that take part in one cannot be told apart.
    still = vectors[rank:] - vectors[rank:].mean(axis=1, keepdims=True)
    lost = [d for d, size in zip(domains, np.abs(still).max(axis=0, initial=0.0), strict=True) if size > 1e-4]
    constant = [d for d, spread in zip(domains, np.ptp(shares, axis=0), strict=True) if spread < 1e-9]
    seen = f"{distinct} distinct mixtures of {len(domains)} domains"
    how = "Add mixtures, or merge domains by adding their columns."
    if rank < free:
        text = f"vary {rank} of the {free} directions that shares can take"
        if constant:
            text += f"; {shortlist(constant)} never {'varies' if len(constant) == 1 else 'vary'}"
        elif lost:
            text += f"; {shortlist(lost)} cannot be told apart"
        raise FitError(f"The {seen} {text}, so the law is not determined", "nothing was fitted", how)
    if distinct < n_free + 2:
        raise FitError(
            f"The {seen} vary every share, and {law.name.split(':')[0]} has {n_free} free parameters: at least "
            f"{n_free + 2} mixtures are needed, or the fit says nothing of its own error",
            "nothing was fitted",
            how,
        )
