"""The loss floor of a plan: what the associative-memory theory predicts for a run before it starts.

The floor of 1 nat per token is a hypothesis (Prop. 4 of Niu et al. 2024), not a theorem; a `Floor` names
what it assumed.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._calls import explained
from scalefit._text import count
from scalefit._typing import Array, ArrayLike
from scalefit._warn import warn_user
from scalefit.errors import ArgumentError, DataError, Note, arg
from scalefit.memory import _assumptions as words
from scalefit.memory._conventions import (
    CONVENTIONS,
    DIMENSIONS,
    PATTERNS,
    Convention,
    Dimension,
    Patterns,
    choice,
    first_bad,
    positive,
    reals,
    scalar,
)
from scalefit.memory._floor_numbers import evaluate
from scalefit.memory._plans import PLAN_COLUMNS, plans_of, quantity

if TYPE_CHECKING:
    import pandas as pd

FLOOR_COLUMNS = (
    *"loss_lower loss_upper loss_at_z_lower loss_at_z_upper log_z_lower log_z_upper log_z".split(),
    *"regime balanced_tokens balanced_params implied_params memoriser_loss".split(),
)


@dataclass(frozen=True, slots=True, repr=False)
class Floor:
    """What the theory allows for one plan.

    Attributes
    ----------
    loss_lower : float
        Least loss that the interval of Z allows [nat/token]: 1 where it contains Z = 1.
    loss_upper : float
        Greatest loss that the interval of Z allows [nat/token]. log Z + 1/Z first falls and then rises in Z, so this
        is the larger loss of the two ends: ``inf`` wherever the lower bound of Z carries no information.
    loss_at_z_lower, loss_at_z_upper : float
        Loss at the two ends of Z [nat/token], ``inf`` where 1/Z is beyond a float; under ``"paper"`` plus
        log(n_layers), the most that its layer term can be.
    log_z_lower, log_z_upper : float
        Bounds of log Z by eq. 13, printed or corrected.
    log_z : float
        log Z by eq. 12 at the radius, printed or exact.
    regime : str
        By the upper end of Z: ``"under_filled"`` (< 0.99), ``"balanced"``, ``"over_filled"`` (> 1.01).
    balanced_tokens : float
        D at which the upper end of Z is 1 [tokens]: ``T_max sqrt(n pi)`` at the volume radius.
    balanced_params : float
        N* [parameters]; ``"paper"``: at this width, of order D^2. ``"exact"``: where the width grows with
        n, of order D^4. NaN where the radius is not ``"volume"``, on which both rest.
    implied_params : float
        Parameters of the architecture: its blocks, with embeddings where `vocab_size` is known.
    memoriser_loss : float
        Floor of a severely over-parameterised model (Remarks 1 and 2) on D / T_max distinct, equally
        likely sequences [nat/token].
    assumptions : tuple of str
        Every assumption used, in words.
    notes : tuple of Note
        What is inconsistent in the plan.
    n_patterns, dim, radius : float
        d, n and r as used.
    N, D, n_layers, d_emb, T_max : float
        The plan.
    vocab_size, d_ff : float or None
        As given.
    convention, dimension, radius_kind, patterns : str
        Readings used.
    """

    loss_lower: float
    loss_upper: float
    loss_at_z_lower: float
    loss_at_z_upper: float
    log_z_lower: float
    log_z_upper: float
    log_z: float
    regime: str
    balanced_tokens: float
    balanced_params: float
    implied_params: float
    memoriser_loss: float
    assumptions: tuple[str, ...]
    notes: tuple[Note, ...]
    n_patterns: float
    dim: int
    radius: float
    N: float
    D: float
    n_layers: int
    d_emb: int
    T_max: int
    vocab_size: int | None
    d_ff: int | None
    convention: Convention
    dimension: Dimension
    radius_kind: str
    patterns: Patterns

    def to_dict(self) -> dict[str, Any]:
        """Return every attribute as JSON-able values; a number that is not finite becomes None."""
        record = asdict(self)
        return {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in record.items()}

    @property
    def allowed(self) -> str:
        """The losses that the bounds of Z allow, in words."""
        return words.allowed(self.loss_lower, self.loss_upper)

    def __str__(self) -> str:
        other: Patterns = "split" if self.patterns == "replicated" else "replicated"
        plan = {name: np.asarray(getattr(self, name)) for name in PLAN_COLUMNS}
        plan |= {
            name: np.asarray(np.nan if (v := getattr(self, name)) is None else v) for name in ("vocab_size", "d_ff")
        }
        radius = self.radius if self.radius_kind == "measured" else self.radius_kind
        there = evaluate(plan, self.convention, self.dimension, radius, other)
        return words.describe({name: getattr(self, name) for name in self.__slots__}, there)

    def __repr__(self) -> str:
        return f"<Floor {self.allowed}; {self.regime}; {self.convention}>"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


@explained
def loss_floor(
    N: Any,
    D: float | None = None,
    n_layers: int | None = None,
    d_emb: int | None = None,
    T_max: int | None = None,
    vocab_size: int | None = None,
    d_ff: int | None = None,
    convention: Convention = "exact",
    dimension: Dimension = "sequence",
    radius: str | float = "volume",
    patterns: Patterns = "replicated",
) -> Any:
    """Return the loss that the associative-memory theory allows a plan, or each plan of a table.

    Parameters
    ----------
    N : float or str, or DataFrame, mapping of columns or path
        Parameters of the model [parameters], such as ``124e6`` or ``"124M"``; or a table of plans with columns
        N, D, n_layers, d_emb, T_max and, where known, vocab_size and d_ff.
    D : float or str
        Training tokens [tokens], at least `T_max`; distinct ones, since a repeated sequence is not a new
        pattern.
    n_layers, d_emb, T_max : int
        Layers, embedding width, context length [tokens].
    vocab_size : int, optional
        Vocabulary, to count embeddings in `Floor.implied_params`.
    d_ff : int, optional
        Inner width of the feed-forward layers; ``4 * d_emb`` by default.
    convention : {"exact", "paper"}
        The corrected formulas, or those printed.
    dimension : {"sequence", "token"}
        A pattern is a sequence, n = T_max d_emb, or one embedding, n = d_emb.
    radius : {"volume", "critical"} or float
        Radius of the ball around a pattern: sqrt(n / 2 pi e), the radius at which Z = 1, or a measured number.
    patterns : {"replicated", "split"}
        Whether every layer stores all d patterns, as the printed Z counts, or d / n_layers of them, as section 4.1
        divides the data set. The verdict can turn on it, so both are printed.

    Returns
    -------
    Floor or DataFrame
        For a table, a copy of the rows that form a plan, with the columns `FLOOR_COLUMNS` added.

    Raises
    ------
    ArgumentError
        A value that is not allowed, T_max above D, or a missing argument.
    DataError
        A table without the columns, or with a column that would be overwritten.

    Warns
    -----
    ScalefitWarning
        N does not match the architecture, or rows of a table do not form a plan and were set aside.

    References
    ----------
    .. [1] Niu, Bai, Deng and Han (2024), arXiv:2405.08707, section 5.

    Examples
    --------
    >>> floor = loss_floor(N=124e6, D=9e9, n_layers=12, d_emb=768, T_max=1024)
    >>> floor.loss_lower, floor.loss_upper, round(floor.loss_at_z_upper, 3), floor.regime
    (1.0, inf, 8.629, 'over_filled')
    >>> loss_floor(N=124e6, D=9e6, n_layers=12, d_emb=768, T_max=1024, patterns="split").regime
    'under_filled'
    """
    choice("convention", convention, CONVENTIONS)
    choice("dimension", dimension, DIMENSIONS)
    choice("patterns", patterns, PATTERNS)
    if isinstance(radius, str):
        choice("radius", radius, ("volume", "critical"))
    else:
        scalar("radius", radius)
    given = {"D": D, "n_layers": n_layers, "d_emb": d_emb, "T_max": T_max}
    options = {"vocab_size": vocab_size, "d_ff": d_ff}
    if (plans := plans_of(N)) is not None:
        both = [name for name, value in given.items() if value is not None]
        if both:
            raise ArgumentError(
                f"A table of plans came with {', '.join(map(arg, both))}", "nothing was computed", "Pass one of them"
            )
        return _floor_table(plans, options, convention, dimension, radius, patterns)
    missing = [name for name, value in given.items() if value is None]
    if missing or N is None:
        raise ArgumentError(
            f"{', '.join(missing or ['N'])} missing; a plan needs {', '.join(PLAN_COLUMNS)}",
            "nothing was computed",
            f"Give {', '.join(arg(name, ...) for name in missing or ['N'])}",
        )
    for name, value in {"N": N, **given, **options}.items():
        if np.ndim(value) > 0:
            raise ArgumentError(
                f"{name} has shape {np.shape(value)}", "nothing was computed", "Pass many plans as a DataFrame"
            )
    plan = _read_plan({name: quantity(name, value) for name, value in {"N": N, **given, **options}.items()})
    values = evaluate(plan, convention, dimension, radius, patterns)
    notes = tuple(_mismatch(plan, values["implied_params"]))
    for note in notes:
        warn_user(note.template)
    floor = {name: np.asarray(value).item() for name, value in values.items()}
    floor["dim"] = int(floor["dim"])
    return Floor(
        **floor,
        assumptions=words.assumptions(floor, np.asarray(plan["T_max"]).item(), convention, dimension, radius, patterns),
        notes=notes,
        N=np.asarray(plan["N"]).item(),
        D=np.asarray(plan["D"]).item(),
        n_layers=int(plan["n_layers"]),
        d_emb=int(plan["d_emb"]),
        T_max=int(plan["T_max"]),
        vocab_size=None if vocab_size is None else int(plan["vocab_size"]),
        d_ff=None if d_ff is None else int(plan["d_ff"]),
        convention=convention,
        dimension=dimension,
        radius_kind=radius if isinstance(radius, str) else "measured",
        patterns=patterns,
    )


def _floor_table(
    plans: pd.DataFrame,
    options: Mapping[str, Any],
    convention: Convention,
    dimension: Dimension,
    radius: str | float,
    patterns: Patterns,
) -> pd.DataFrame:
    missing = [name for name in PLAN_COLUMNS if name not in plans.columns]
    if missing:
        raise DataError(
            f"The table of plans has no column {', '.join(missing)} (its columns: "
            f"{', '.join(map(str, plans.columns)) or 'none'})",
            "nothing was computed",
            f"Give it {', '.join(PLAN_COLUMNS)}",
        )
    names = list(map(str, plans.columns))
    twice = [name for name in (*PLAN_COLUMNS, *options) if names.count(name) > 1]
    if twice:
        raise DataError(
            f"The table of plans has several columns {', '.join(twice)}", "nothing was computed", "Keep one of each"
        )
    taken = [name for name in FLOOR_COLUMNS if name in plans.columns]
    if taken:
        raise DataError(
            f"The table of plans already has {', '.join(taken)}",
            "nothing was computed",
            "Rename or drop those columns first",
        )
    raw = {name: plans[name].to_numpy() for name in PLAN_COLUMNS}
    raw |= {name: plans[name].to_numpy() if name in plans.columns else v for name, v in options.items()}
    kept, reasons = _usable(raw, list(plans.index))
    if reasons and not any(kept):
        raise DataError(
            f"No row of the table makes a plan: {_listed(reasons)}",
            "nothing was computed",
            "Correct the table, or drop those rows",
        )
    if reasons:
        text = f"{len(reasons)} of {len(kept)} rows make no plan and were set aside: {_listed(reasons)}."
        warn_user(text)
    plans = plans[np.array(kept, bool)]
    raw = {name: v[np.array(kept, bool)] if np.ndim(v) else v for name, v in raw.items()}
    rows = list(plans.index)
    plan = _read_plan(raw, rows)
    values = evaluate(plan, convention, dimension, radius, patterns)
    for note in _mismatch(plan, values["implied_params"], rows):
        warn_user(note.template)
    return plans.assign(**{name: values[name] for name in FLOOR_COLUMNS})


def _usable(raw: Mapping[str, Any], rows: Sequence[Any]) -> tuple[list[bool], list[str]]:
    """Which rows of a table make a plan, and why the others do not; all at once where all do."""
    try:
        _read_plan(raw, rows)
    except ArgumentError:
        pass
    else:
        return [True] * len(rows), []
    kept, reasons = [], []
    for i, row in enumerate(rows):
        try:
            _read_plan({name: v[i] if np.ndim(v) else v for name, v in raw.items()})
        except ArgumentError as error:
            kept.append(False)
            reasons.append(f"row {row}: " + error.seen.replace("=", " = ", 1))
        else:
            kept.append(True)
    return kept, reasons


def _listed(reasons: Sequence[str]) -> str:
    more = f" (and {len(reasons) - 3} more)" if len(reasons) > 3 else ""
    return "; ".join(reasons[:3]) + more


def _read_plan(raw: Mapping[str, Any], rows: Sequence[Any] | None = None) -> dict[str, Array]:
    """Check a plan, or arrays of plans; unknown vocab_size and d_ff become NaN."""
    sizes = {"N": "parameters", "D": "tokens"}  # as people round them; the others are whole numbers
    units = {**sizes, "T_max": "tokens"}
    plan = {
        name: positive(name, raw[name], unit=units.get(name, ""), integer=name not in sizes, rows=rows)
        for name in PLAN_COLUMNS
    }
    fits = plan["D"] >= plan["T_max"]
    if not np.all(fits):
        row = int(np.flatnonzero(~np.ravel(fits))[0])
        context = float(np.ravel(plan["T_max"])[row])
        raise ArgumentError(
            f"{first_bad('D', plan['D'], fits, rows)} with T_max {context:g}: less than one training sequence",
            "nothing was computed: D counts tokens",
            "Give T_max or more",
        )
    for name in ("vocab_size", "d_ff"):
        value = raw.get(name)
        known = np.full(plan["N"].shape, np.nan) if value is None else np.array(reals(name, value))
        if np.any(~np.isnan(known)):
            positive(name, np.where(np.isnan(known), 1.0, known)[()], integer=True, rows=rows)
        elif value is not None and np.ndim(value) == 0:
            positive(name, value)
        plan[name] = np.broadcast_to(known, plan["N"].shape)
    return plan


def _mismatch(plan: Mapping[str, Array], implied: ArrayLike, rows: Sequence[Any] | None = None) -> list[Note]:
    """Compare N with the architecture; blocks alone are only a lower limit, and 1 % covers biases and norms."""
    N, expected, whole = map(np.atleast_1d, (plan["N"], np.asarray(implied, float), ~np.isnan(plan["vocab_size"])))
    off = np.where(whole, np.abs(N / expected - 1.0) > 0.2, N < 0.99 * expected)
    if not off.any():
        return []
    row = int(np.flatnonzero(off)[0])
    place = row if rows is None else rows[row]
    where = f"{int(off.sum())} of {len(N)} plans do not fit; the first, row {place}: " if len(N) > 1 else ""
    counted = "whole architecture has" if whole[row] else "blocks alone have"
    return [
        Note(
            "architecture_mismatch",
            "warning",
            f"{where}N is {count(N[row], 4)} but the {counted} {count(expected[row], 4)} parameters. N was kept as "
            f"given; check n_layers, d_emb, d_ff and vocab_size, or which parameters N counts.",
            {"N": float(N[row]), "implied_params": float(expected[row])},
        )
    ]
