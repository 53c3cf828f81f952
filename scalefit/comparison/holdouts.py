"""Which runs a comparison trains on and which it tests on."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from scalefit._numeric import levelled
from scalefit._text import known
from scalefit._typing import AnyArray, Array
from scalefit.errors import ArgumentError, FitError, arg

NAMES = ("largest_C", "k-fold", "leave-one-budget-out", "rolling")
#: Cut ratios of ``largest_C``: train on C <= C_max / r.
RATIOS = (3.0, 10.0, 30.0)
#: Test runs are at least this far beyond the most expensive training run.
_GAP = 2.0
_HAIR = 1 + 1e-9  # compute at a limit is within it, whatever its last bits
#: Folds of ``k-fold``, as is usual.
_FOLDS = 5
#: Budgets closer than this in ln C are one: recorded compute of one isoFLOP budget scatters.
_BUDGET_GAP = 0.2
_MOST_STEPS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One training set and the runs to predict from it.

    Parameters
    ----------
    name : str
        What was held out.
    train, test : ndarray of int
        Positions of the runs.
    """

    name: str
    train: AnyArray
    test: AnyArray


def folds(holdout: str, compute: Array, fewest: int, seed: int) -> list[Fold]:
    """Return the folds of a holdout.

    Parameters
    ----------
    holdout : str
        One of `NAMES`; ``"k-fold"`` may say its k: ``"10-fold"``.
    compute : ndarray (n,)
        Training compute [FLOP].
    fewest : int
        Training runs that every law needs.
    seed : int
        Of the shuffle of k-fold.

    Raises
    ------
    ArgumentError
        Unknown holdout.
    FitError
        No fold leaves enough runs to train on.
    """
    if not isinstance(holdout, str):
        raise ArgumentError(
            f"{arg('holdout', holdout)} is not known",
            "nothing was held out",
            f"Known: {', '.join(NAMES)} (or '10-fold')",
        )
    asked, holdout = holdout, _canonical(holdout)
    compute = levelled(compute)
    n = compute.size
    everything = np.arange(n)
    if holdout == "largest_C":
        found = []
        for ratio in RATIOS:
            train = np.flatnonzero(compute <= _HAIR * compute.max() / ratio)
            if train.size:
                test = np.flatnonzero(_HAIR * compute >= _GAP * compute[train].max())
                found.append(Fold(f"C_max/{ratio:g}", train, test))
    elif holdout == "rolling":
        found = []
        order = np.argsort(compute, kind="stable")
        edges = np.linspace(n / 2, n, _MOST_STEPS + 1).astype(int)
        for low, high in zip(edges[:-1], edges[1:], strict=True):
            found.append(Fold(f"runs {low + 1} to {high} by compute", order[:low], order[low:high]))
    elif holdout == "leave-one-budget-out":
        log_c = np.log(compute)
        order = np.argsort(log_c, kind="stable")
        label = np.empty(n, int)
        label[order] = np.concatenate([[0], np.cumsum(np.diff(log_c[order]) > _BUDGET_GAP)])
        if label.max() == 0 or label.max() + 1 > n / 2:
            raise FitError(
                f"The {n} runs form {label.max() + 1} groups of compute: leave-one-budget-out needs at least two "
                "budgets, of two or more runs each on average",
                "nothing was fitted",
                f"Use {arg('holdout', 'largest_C')} or '5-fold'",
            )
        found = []
        for budget in range(label.max() + 1):
            here = label == budget
            found.append(Fold(f"budget {np.exp(np.median(log_c[here])):.2g}", everything[~here], everything[here]))
    elif holdout.endswith("-fold") and (holdout == "k-fold" or holdout[:-5].isdigit()):
        k = _FOLDS if holdout == "k-fold" else int(holdout[:-5])
        if not 2 <= k <= n:
            raise ArgumentError(
                f"{arg('holdout', holdout)} asks for too few folds or too many: with {n} runs, k must lie between 2 "
                f"and {n}",
                "nothing was fitted",
                "Change k",
            )
        part = np.random.default_rng(seed).permutation(n) % k
        found = [Fold(f"fold {i + 1} of {k}", everything[part != i], everything[part == i]) for i in range(k)]
    else:
        raise ArgumentError(
            f"{arg('holdout', asked)} is not known", "nothing was held out", known(asked, (*NAMES, "10-fold"))
        )
    usable = [fold for fold in found if fold.test.size and fold.train.size >= fewest]
    if not usable:
        raise FitError(
            f"No fold of {arg('holdout', holdout)} leaves {fewest} runs to train on and one to test: the table has "
            f"{n} runs over a factor of {compute.max() / compute.min():.3g} in compute",
            "nothing was fitted",
            "Use 'k-fold', or laws with fewer parameters",
        )
    return usable


def needs_compute(holdout: str) -> bool:
    """Whether a holdout is made by the compute of the runs: all but k-fold are."""
    return not (isinstance(holdout, str) and _canonical(holdout).endswith("-fold"))


def _canonical(holdout: str) -> str:
    """Return the name meant by ``leave_one_budget_out``, ``kfold`` or ``Largest_C``."""
    plain = re.sub("[^a-z0-9]", "", holdout.lower())
    for name in NAMES:
        if plain == re.sub("[^a-z0-9]", "", name.lower()):
            return name
    return f"{plain[:-4]}-fold" if plain.endswith("fold") else holdout
