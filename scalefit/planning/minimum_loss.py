"""sf.minimum_loss: the loss of one planned run by every law, in one table, beside the theory's floor."""

from __future__ import annotations

import functools
import html
import math
import textwrap
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from scalefit._arguments import check_level, check_quantity
from scalefit._calls import explained
from scalefit._files import write_json
from scalefit._numeric import settled
from scalefit._plain import plain
from scalefit._text import PAGE, count, folded, percent
from scalefit.counting import count_parameters
from scalefit.errors import ArgumentError, FitError, Note, ScalefitWarning, arg, note_record, spoken, way
from scalefit.extrapolation import LEAP
from scalefit.flops import SIZES, training_flops
from scalefit.laws._published import PublishedLaw, published
from scalefit.laws._registry import registry
from scalefit.memory._conventions import Convention, Patterns
from scalefit.memory.floor import Floor, loss_floor
from scalefit.planning.architecture import shape_for
from scalefit.planning.limits import largest
from scalefit.planning.loss_surface import drawn_on, weighs_size_against_tokens
from scalefit.predictor import Predictor, predictor_of, predicts

if TYPE_CHECKING:
    from scalefit.plots.minimum_loss import MinimumLossFigure

COLUMNS = ("law", "constants", "loss", "lower", "upper", "source", "range", "holds_here", "kind")

#: Passes over the data up to which repeated tokens are worth nearly as much as new ones (Muennighoff et al. 2023).
_FRESH_EPOCHS = 4.0

#: Readings of the associative-memory floor: convention, who stores the patterns.
_READINGS: tuple[tuple[Convention, Patterns], ...] = (
    ("exact", "replicated"),
    ("exact", "split"),
    ("paper", "replicated"),
    ("paper", "split"),
)


@explained
@dataclass(frozen=True, eq=False)
class MinimumLoss:
    """The lowest loss of a planned run by every law. Made by :func:`scalefit.minimum_loss`.

    Attributes
    ----------
    table : DataFrame
        One row per law: ``law``, ``constants`` (the published set, or the reading), ``loss`` [nat/token], ``lower``
        and ``upper`` (NaN where no error is known), ``source``, ``range`` (what its runs covered), ``holds_here``
        (whether they covered this plan) and ``kind``: ``"forecast"``, ``"published"``, ``"hypothesis"`` (the
        associative-memory floor) or ``"entropy"`` (of the samples, or of the data).
    verdict : str
        What the laws show together, in words.
    plan : dict
        N [parameters], D [tokens], n_layers, d_emb, T_max [tokens], and what else was given.
    level : float
        Coverage of the forecast's interval.
    floor : Floor
        The associative-memory floor, exact formulas.
    notes : tuple of Note
        What to know before you use the numbers.
    """

    table: pd.DataFrame
    verdict: str
    plan: Mapping[str, float]
    level: float
    floor: Floor = field(repr=False)
    notes: tuple[Note, ...] = ()

    def figure(self) -> MinimumLossFigure:
        """The numbers of the figure."""
        from scalefit.plots.minimum_loss import MinimumLossFigure

        rows = self.table[self.table["loss"].notna()]
        return MinimumLossFigure(
            labels=[f"{law} {key}".strip() for law, key in zip(rows["law"], rows["constants"], strict=True)],
            loss=rows["loss"].to_numpy(float),
            lower=rows["lower"].to_numpy(float),
            upper=rows["upper"].to_numpy(float),
            holds=rows["holds_here"].to_numpy(bool),
            kind=list(rows["kind"]),
            title=f"{count(self.plan['N'])} parameters on {count(self.plan['D'])} tokens",
        )

    def plot(self, ax: Any = None) -> Any:
        """Draw the table: one row per law, hollow where its runs did not cover the plan; returns the axes."""
        from scalefit.plots.minimum_loss import draw_minimum_loss

        return draw_minimum_loss(self.figure(), ax=ax)

    def to_dict(self) -> dict[str, Any]:
        """Everything as a JSON-compatible dict; a number that is not finite becomes None."""
        return {
            "kind": "minimum_loss",
            "plan": dict(self.plan),
            "level": self.level,
            "verdict": self.verdict,
            "table": plain(self.table.to_dict("records")),
            "floor": self.floor.to_dict(),
            "notes": [note_record(note) for note in self.notes],
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """The same as JSON text, written to `path` if given."""
        return write_json(self.to_dict(), path)

    def brief(self) -> str:
        """Return the rows that hold here and the floor, one line each, and the verdict; `str` has every row."""
        own, floor = self.table["kind"] == "forecast", self.table["constants"] == "floor, exact, replicated"
        kept = self.table[self.table["holds_here"] | own | floor]
        every = spoken(way("minimum_loss", "scalefit minimum-loss"))
        lines = [f"minimum loss [nat/token]: what holds here, and the floor (all {len(self.table)} rows: {every})"]
        for row in kept.to_dict("records"):
            name = f"{row['law']} {row['constants']}".strip()
            text = "" if row["holds_here"] else "  a hypothesis" if row["kind"] == "hypothesis" else "  too far"
            lines.append(f"  {name:<44}{row['loss']:<8.4g}{_interval(row)}{text}".rstrip())
        wrapped = textwrap.wrap(self.verdict, 96, initial_indent="  ", subsequent_indent="  ")
        return "\n".join([lines[0], *wrapped, *lines[1:]])

    def __str__(self) -> str:
        shape = f"{self.plan['n_layers']:g} layers, d_emb {self.plan['d_emb']:g}, T_max {self.plan['T_max']:g}"
        lines = [f"Minimum loss of a plan: N {count(self.plan['N'])}, D {count(self.plan['D'])} tokens, {shape}"]
        lines += textwrap.wrap(self.verdict, PAGE, break_on_hyphens=False)
        columns = f"  {'law':<44}{'loss':>8}  {percent(self.level) + ' interval':<18}{'holds here':<12}range"
        lines.append(columns)
        for row in self.table.to_dict("records"):
            name = f"{row['law']} {row['constants']}".strip()
            loss = "-" if math.isnan(row["loss"]) else f"{row['loss']:.4g}"
            line = f"  {name:<44}{loss:>8}  {_interval(row):<18}{_yes(row['holds_here']):<12}"
            lines += (
                [line + row["range"]] if len(line + row["range"]) <= PAGE else [line, folded(f"      {row['range']}")]
            )
        lines += [folded(f"  {note}") for note in self.notes]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<MinimumLoss {self.verdict}>"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


@explained
def minimum_loss(
    *,
    N: float | str,
    D: float | str,
    n_layers: int | None = None,
    d_emb: int | None = None,
    T_max: int = 2048,
    runs: Any = None,
    level: float = 0.9,
    unique_tokens: float | str | None = None,
    entropy: float | None = None,
    vocab_size: int | None = None,
    d_ff: int | None = None,
) -> MinimumLoss:
    """Return the loss of a planned run according to every law, and the associative-memory floor.

    Published laws come without errors, so they have no interval; they also differ by corpus and tokenizer. If you have
    runs of your own, a forecast from them is better.

    Parameters
    ----------
    N, D : float or str
        Total parameters [parameters] and training tokens [tokens], such as ``"124M"`` and ``"9B"``.
    n_layers, d_emb : int, optional
        Layers and embedding width; without both of them a shape near published models is chosen, and a note names it.
    T_max : int
        Context [tokens].
    runs : table, path or Predictor, optional
        Runs of your own, which `scalefit.forecast` extrapolates to this plan; or what `scalefit.fit` or
        `scalefit.forecast` returned.
    level : float
        Coverage of the interval.
    unique_tokens : float or str, optional
        Distinct tokens [tokens], if the data repeat; D by default.
    entropy : float, optional
        Entropy of the data [nat/token], if it is known.
    vocab_size, d_ff : int, optional
        Vocabulary, and inner width of the feed-forward layers; ``4 * d_emb`` by default.

    Returns
    -------
    MinimumLoss

    Raises
    ------
    ArgumentError
        A value that makes no sense.
    DataError
        Runs that cannot be read. Runs that identify no forecast are named in a note, and the other rows remain.

    Examples
    --------
    >>> found = minimum_loss(N=124e6, D=9e9, n_layers=12, d_emb=768, T_max=1024)
    >>> chinchilla = found.table.set_index("constants").loc["besiroglu2024"]
    >>> round(float(chinchilla["loss"]), 3), bool(chinchilla["holds_here"])
    (3.031, True)
    >>> round(found.floor.loss_at_z_upper, 3)
    8.629
    """
    check_level(level)
    plan: dict[str, float] = {"N": check_quantity("N", N), "D": check_quantity("D", D)}
    shape: dict[str, Any] = {"T_max": T_max, "vocab_size": vocab_size, "d_ff": d_ff}
    n_layers, d_emb, notes = shape_for(plan["N"], n_layers, d_emb, T_max, vocab_size)
    shape |= {"n_layers": n_layers, "d_emb": d_emb}
    distinct = plan["D"] if unique_tokens is None else min(plan["D"], check_quantity("unique_tokens", unique_tokens))
    if entropy is not None:
        plan["entropy"] = check_quantity("entropy", entropy)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScalefitWarning)  # they are in the floor's notes
        floors = [
            (convention, patterns, loss_floor(N, distinct, convention=convention, patterns=patterns, **shape))
            for convention, patterns in _READINGS
        ]
    floor = floors[0][2]
    plan |= {"n_layers": floor.n_layers, "d_emb": floor.d_emb, "T_max": floor.T_max, "unique_tokens": distinct}
    notes += floor.notes
    rows = _forecast(runs, plan, level, notes) + _published(plan, d_ff)
    rows += [_floor_row(*reading) for reading in floors]
    if math.isfinite(floor.memoriser_loss):
        rows.append(_entropy_row("memoriser", floor.memoriser_loss, "Niu et al. (2024), Remarks 1 and 2"))
    if entropy is not None:
        rows.append(_entropy_row("entropy of the data", plan["entropy"], "as given", holds=True))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return MinimumLoss(table, _verdict(table, plan, level), plan, level, floor, tuple(notes))


def _forecast(runs: Any, plan: Mapping[str, float], level: float, notes: list[Note]) -> list[dict[str, Any]]:
    """The row of the caller's own runs, or a note of why there is none."""
    if runs is None:
        return []
    try:
        predictor, source = _predictor(runs)
    except FitError as error:
        notes.append(Note("no_forecast", "warning", f"No forecast from the runs: {error}", {}))
        return []
    wanted = [name for name in predictor.inputs if name not in predictor.held_inputs]
    given = {**plan, "C": float(training_flops(plan["N"], plan["D"]))}
    missing = [name for name in wanted if name not in given]
    if missing:
        raise ArgumentError(
            f"What {arg('runs')} holds reads {', '.join(missing)} besides N and D",
            "nothing was computed",
            "Hold them with result.at(...) first",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScalefitWarning)  # they are in the notes of the interval
        inputs = {name: given[name] for name in wanted}
        frame = predictor.predict_interval(level=level, **inputs, **drawn_on(predictor, plan["unique_tokens"]))
    found = frame.iloc[0]
    notes += frame.attrs.get("notes", ())
    most = largest(predictor)
    reach = max((settled(given[name] / most[name]) for name in ("C",) if name in most), default=math.inf)
    law = "blend" if predictor.law is None else predictor.law.name
    notes += [note for note in predictor.notes if note.severity != "info"]
    covers = f"up to C {most['C']:.3g} FLOP; this plan has {reach:.3g} times that" if "C" in most else "not known"
    row: dict[str, Any] = {
        "law": law,
        "constants": "of your runs",
        "source": source,
        "range": covers,
        "kind": "forecast",
    }
    row |= {name: float(found[name]) for name in ("loss", "lower", "upper")}
    return [{**row, "holds_here": bool(predictor.trusted and reach <= LEAP)}]


def _predictor(runs: Any) -> tuple[Predictor, str]:
    if predicts(runs):
        return predictor_of(runs, "A minimum loss"), "the result that was given"
    from scalefit.forecasting.forecast import forecast

    return forecast(runs), "sf.forecast of the runs that were given"


@functools.cache
def _candidates() -> tuple[PublishedLaw, ...]:
    """Published laws of the loss [nat/token] in N, D and distinct tokens alone."""
    found = []
    for name, law in registry().items():
        if weighs_size_against_tokens(law):
            found += [published(name, constants.key) for constants in law.published]
    return tuple(law for law in found if law.target.is_loss)


def _published(plan: Mapping[str, float], d_ff: int | None) -> list[dict[str, Any]]:
    """One row per published set: laws without distinct tokens hold for nearly fresh data, the others for repeats."""
    epochs = plan["D"] / plan["unique_tokens"]
    blocks = count_parameters(int(plan["n_layers"]), int(plan["d_emb"]), d_ff=d_ff).blocks
    rows = []
    for law in _candidates():
        repeats = "unique_tokens" in law.law.inputs
        if repeats and epochs <= 1.0:
            continue  # they are then Chinchilla's law, and a row of their own would count it twice
        counts = law.constants.params
        size = min(float(blocks), plan["N"]) if counts == "non_embedding" else plan["N"]
        inputs = {"N": size, "D": plan["D"]} | ({"unique_tokens": plan["unique_tokens"]} if repeats else {})
        covered = law.constants.covered
        inside = all(name in covered and covered[name][0] <= inputs[name] <= covered[name][1] for name in SIZES)
        row = {"law": law.law.name, "constants": law.constants.key, "loss": float(law.predict(**inputs))}
        row |= {"lower": math.nan, "upper": math.nan, "source": law.source, "kind": "published"}
        row["range"] = _range(covered, counts, inputs["N"], repeats)
        rows.append({**row, "holds_here": bool(inside and (repeats or epochs <= _FRESH_EPOCHS))})
    return rows


def _range(covered: Mapping[str, tuple[float, float]], counts: str, N: float, repeats: bool) -> str:
    if not set(SIZES) <= set(covered):
        return "not known"
    spans = [f"{name} {count(covered[name][0], 2)} to {count(covered[name][1], 2)}" for name in SIZES]
    if counts == "non_embedding":
        spans[0] += f" (without embeddings: {count(N)} here)"
    return ", ".join(spans) + ("" if repeats else ", fresh data")


def _floor_row(convention: str, patterns: str, floor: Floor) -> dict[str, Any]:
    return {
        "law": "associative_memory",
        "constants": f"floor, {convention}, {patterns}",
        "loss": floor.loss_at_z_upper,
        "lower": floor.loss_lower,
        "upper": floor.loss_upper,
        "source": "Niu et al. (2024), arXiv:2405.08707, eq. 13 and Prop. 4"
        + (", corrected" if convention == "exact" else ", as printed"),
        "range": f"a hypothesis, of no runs; {floor.regime}",
        "holds_here": False,
        "kind": "hypothesis",
    }


def _entropy_row(name: str, loss: float, source: str, *, holds: bool = False) -> dict[str, Any]:
    covers = "any model on fresh data" if holds else "training loss of a model that stores every sequence"
    row = {"law": name, "constants": "", "loss": loss, "lower": math.nan, "upper": math.nan, "source": source}
    return {**row, "range": covers, "holds_here": holds, "kind": "entropy"}


def _verdict(table: pd.DataFrame, plan: Mapping[str, float], level: float) -> str:
    parts = []
    own = table[table["kind"] == "forecast"]
    if len(own):
        row = own.iloc[0]
        trust = "" if row["holds_here"] else ", which is not to be trusted this far from them"
        interval = f", {_interval(row)} at {percent(level)}" if _interval(row) else ""
        parts.append(f"Your runs forecast {row['loss']:.4g} nat/token{interval}{trust}.")
    every = table[table["kind"] == "published"]
    inside = every[every["holds_here"]]
    if len(inside):
        low, high = inside["loss"].min(), inside["loss"].max()
        parts.append(
            f"The {len(inside)} published sets whose runs covered this plan say {low:.4g} to {high:.4g} nat/token, "
            "each on its own corpus and tokenizer and without an interval."
        )
    else:
        parts.append(
            "No published set's runs covered this plan, so they leave its loss undetermined; what they say is "
            "extrapolation."
        )
    if "entropy" in plan:
        parts.append(f"On fresh data no model goes below the entropy of the data, {plan['entropy']:.4g} nat/token.")
    parts.append("The associative-memory floor is a hypothesis that fits no table of runs: do not decide by it.")
    return " ".join(parts)


def _interval(row: Any) -> str:
    if math.isnan(row["lower"]):
        return ""
    if math.isnan(row["upper"]):
        return f"{row['lower']:.4g} or more"
    upper = "inf)" if math.isinf(row["upper"]) else f"{row['upper']:.4g}]"
    return f"[{row['lower']:.4g}, {upper}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
