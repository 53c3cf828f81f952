"""Rows: which runs of a table can be used, and a reason for each that cannot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from scalefit._numeric import levelled, settings
from scalefit._typing import AnyArray, Array
from scalefit.errors import DataError, Note, arg
from scalefit.flops import QUANTITIES, SIZES, convention
from scalefit.tables.columns import COUNTS_STEPS

SMALLEST, LARGEST = 1e-12, 1e60  # outside of these a number is a slip or a divergence, whatever its unit
CONSISTENT = 0.05  # C may differ from its convention by this fraction before it is worth a remark
LARGEST_LOSS = 14.0  # [nat/token]; a uniform guess over a million different tokens costs ln(1e6) = 13.8
LOW_PER_TOKEN = 1.2  # nat/token: no published model of natural language is as good
USUAL_PER_BYTE = 3.0  # bit/byte: where small models of text begin
_APART = 1e3  # no table leaves such a gap between its sizes, and billions and millions are written below it
FEWEST_TOKENS = 0.1  # tokens per parameter: a hundredth of what is usual, but for fine-tuning
SMALLEST_COUNT = 1e4  # no language model has fewer parameters in all, or sees fewer tokens

_TOY_COMPUTE = 1e6  # FLOP of a thousand parameters on a thousand tokens; 70 (billion) times 2000 (billion) is less
_COUNTED = {"N": "parameters", "D": "tokens"}
_TELLS_CORPUS = frozenset(
    "corpus dataset train_set training_set train_data training_data tokenizer vocab eval_set val_set".split()
)
_NAMES_RUN = frozenset("run run_id run_name name model model_name".split())
_COPY = 1e-12  # numbers that differ by less of their size are one number, computed or printed twice
_SHOWN = 8  # rows named in a message; the rest is counted


class Rows:
    """Columns of numbers under judgement; the first reason against a row is the one it is set aside for.

    Parameters
    ----------
    columns : dict of str to ndarray, shape (n_rows,)
        N, D, C (those known), loss and other numbers. `complete` adds to it.
    labels : ndarray, shape (n_rows,)
        The number of each row.
    """

    def __init__(self, columns: dict[str, Array], labels: AnyArray) -> None:
        self.columns = columns
        self.labels = labels
        self.reasons: dict[int, str] = {}

    def refuse(self, reasons: Mapping[int, str]) -> None:
        """Set rows aside by position, unless they are already."""
        for position, reason in reasons.items():
            self.reasons.setdefault(position, reason)

    def demand_positive(self, name: str, *, blank: str | None = "is missing") -> None:
        """Set aside the rows where a column is not positive and of a sane size; ``blank=None`` lets NaN pass."""
        values = self.columns[name]
        bad = ~((values > SMALLEST) & (values < LARGEST))
        if blank is None:
            bad &= ~np.isnan(values)
        for i in np.flatnonzero(bad):
            value = float(values[i])
            text = blank if np.isnan(value) else f"is {value:g}"
            self.reasons.setdefault(int(i), f"{name} {text}")

    def demand(self, name: str, declared: Any = None, *, blank: str | None = "is missing") -> None:
        """Set aside the rows whose value a declaration does not admit, or that is not positive where there is none."""
        if declared is None or declared.range == (0.0, np.inf) and not getattr(declared, "zero", False):
            self.demand_positive(name, blank=blank)
            return
        values = self.columns[name]
        bad = ~declared.admits(values)
        if blank is None:
            bad &= ~np.isnan(values)
        shown = str(getattr(declared, "name", name))  # a target stands in the column of the loss
        low, high = declared.range
        allowed = getattr(declared, "allowed", f"between {low:g} and {high:g}")
        for i in np.flatnonzero(bad):
            value = float(values[i])
            text = blank or "" if np.isnan(value) else f"is {value:g}, not {allowed}"
            self.reasons.setdefault(int(i), f"{shown} {text}")

    def demand_plausible_loss(self, unit: str) -> None:
        """Set aside the few losses that no model has; where most are so large, the unit is another and they stay."""
        loss = self.columns["loss"]
        large = np.isfinite(loss) & (loss > LARGEST_LOSS) & (loss < LARGEST)
        if unit != "nat/token" or not large.any() or 2 * large.sum() >= np.isfinite(loss).sum():
            return
        for i in np.flatnonzero(large):
            self.reasons.setdefault(int(i), f"loss is {loss[i]:.6g}, and a guess among a million tokens costs 13.8")

    def demand_one_unit(self) -> None:
        """Set aside the N and D that are too small for a language model and far from all others: 1.2 beside 3e8."""
        for name in SIZES:
            values = self.columns.get(name, np.zeros(0))
            few = (values > 0) & (values < SMALLEST_COUNT)
            rest = values[values >= SMALLEST_COUNT]
            if rest.size and values[few].min(initial=_APART) < _APART and rest.min() > _APART * values[few].max():
                for i in np.flatnonzero(few):
                    text = f"{name} is {values[i]:g} where others are {rest.min():.3g} or more: in another unit?"
                    self.reasons.setdefault(int(i), text)

    def demand_new(self, frame: pd.DataFrame) -> None:
        """Set aside the second and later copies of a run: rows whose every cell in `frame` agrees, but for rounding."""
        loss = levelled(self.columns["loss"], _COPY)
        places = _equal_places([loss], np.arange(len(loss)))
        sizes = (levelled(self.columns[name], _COPY) for name in QUANTITIES if name in self.columns)
        places = _equal_places([loss, *sizes], places)
        if not len(places):
            return
        original: dict[tuple[str, ...], Any] = {}
        cells = [_cells(column) for _, column in frame.iloc[places].items()]
        for place, key in zip(places, zip(*cells, strict=True), strict=True):
            if key in original:
                self.reasons.setdefault(int(place), f"repeats row {original[key]}")
            original.setdefault(key, self.labels[place])

    def complete(self, flops: str) -> list[Note]:
        """Fill in N, D or C from the other two, row by row, and compare the three where all are known."""
        known = [name for name in QUANTITIES if name in self.columns]
        rule = convention(flops)
        if len(known) < 2 or not rule.computes or not set(rule.reads) <= set(self.columns):
            return []
        more = {name: self.columns[name] for name in rule.reads}
        n_rows = len(self.labels)
        blank = np.full(n_rows, np.nan)
        N, D, C = (self.columns.get(name, blank) for name in QUANTITIES)
        with np.errstate(all="ignore"):
            implied = rule.train(N, D, **more)
            sizes = rule.size(C, D, **more) if rule.size_from == "N" else blank
            other = {"N": sizes, "D": rule.tokens(C, N, **more), "C": implied}
        notes = _consistency(C, implied, flops, self.labels)
        for name, values in (("N", N), ("D", D), ("C", C)):
            fill = np.isnan(values) & np.isfinite(other[name])
            if fill.any() or name not in self.columns:
                self.columns[name] = np.where(fill, other[name], values)
            if fill.any():
                rest = " and ".join(q for q in QUANTITIES if q != name)
                which = "every row" if fill.all() else f"{int(fill.sum())} of {n_rows} rows"
                text = f"{name} is computed from {rest} in {which}, by C = {flops}."
                details = {"column": name, "n_rows": int(fill.sum()), "every_row": bool(fill.all())}
                notes.append(Note("derived", "info", text, details))
        return notes

    @property
    def usable(self) -> AnyArray:
        """Which rows are left, as a mask."""
        mask = np.ones(len(self.labels), bool)
        mask[list(self.reasons)] = False
        return mask

    def set_aside(self) -> list[tuple[Any, str]]:
        """Return number and reason of each row set aside, in the order of the table."""
        return [(plain(self.labels[i]), self.reasons[i]) for i in sorted(self.reasons)]


def _cells(column: pd.Series) -> list[Any]:
    """What tells the cells of a column apart (n,): text, or the level of a number that may be rounded."""
    cells = column.to_numpy(dtype=object)
    found: list[Any] = [str(cell) for cell in cells]
    floats = np.flatnonzero([isinstance(cell, float) for cell in cells])
    for place, level in zip(floats, settings([cells[floats].astype(float)], _COPY), strict=True):
        found[place] = int(level)
    return found


def _equal_places(columns: list[Array], places: AnyArray) -> AnyArray:
    """Return those places, in order, whose values in every column are also found at another one."""
    values = [column[places] for column in columns]
    order = np.lexsort(values)
    same = np.ones(max(len(places) - 1, 0), bool)
    for column in values:
        left, right = column[order][:-1], column[order][1:]
        same &= (left == right) | (np.isnan(left) & np.isnan(right))
    found = np.concatenate([order[:-1][same], order[1:][same]])
    return np.asarray(places[np.unique(found)])


def _consistency(C: Array, implied: Array, flops: str, labels: AnyArray) -> list[Note]:
    with np.errstate(all="ignore"):
        ratio = C / implied
        off = np.isfinite(ratio) & (ratio > 0) & (np.abs(np.log(ratio)) > np.log1p(CONSISTENT))
    if not off.any():
        return []
    worst = int(np.argmax(np.where(off, np.abs(np.log(np.where(off, ratio, 1.0))), 0.0)))
    text = (
        f"C differs from {flops} by more than {CONSISTENT:.0%} in {int(off.sum())} of {len(C)} rows, "
        f"most in row {labels[worst]}, where it is {ratio[worst]:.3g} times that. C is kept as given. "
        "Check what N, D and C count; laws in N and D do not use C."
    )
    details = {"n_rows": int(off.sum()), "row": plain(labels[worst]), "ratio": float(ratio[worst])}
    return [Note("inconsistent_compute", "warning", text, details)]


def in_order(set_aside: list[tuple[Any, str]]) -> list[tuple[Any, str]]:
    """Return rows and reasons by row number, where the rows are numbered."""
    numbered = all(isinstance(row, int) for row, _ in set_aside)
    return sorted(set_aside, key=lambda item: item[0]) if numbered else set_aside


def set_aside_note(set_aside: list[tuple[Any, str]], n_rows: int) -> Note:
    """Name the rows that were set aside, the first few in words and all in the details."""
    text = (
        f"{len(set_aside)} of {n_rows} rows cannot be used and were set aside: {name_rows(set_aside)}. "
        "Correct these rows or leave them out."
    )
    if 4 * sum(why in ("N is missing", "D is missing") for _, why in set_aside) > n_rows:
        text += " Cells merged in a spreadsheet are blank below the first: fill them down."
    return Note("set_aside", "warning", text, {"n_rows": len(set_aside), "rows": [r for r, _ in set_aside[:1000]]})


def name_rows(set_aside: Iterable[tuple[Any, str]], most: int = _SHOWN) -> str:
    """Put rows and reasons in words: ``row 4 (loss is missing), row 7 (N is -1) and 3 more``."""
    rows = list(set_aside)
    shown = ", ".join(f"row {row} ({why})" for row, why in rows[:most])
    return shown + (f" and {len(rows) - most} more" if len(rows) > most else "")


def assumed_unit(loss: AnyArray) -> list[Note]:
    """Remark on losses that are low for a token and usual for a byte, where nothing stated their unit."""
    low, high = float(np.nanmin(loss, initial=np.inf)), float(np.nanmax(loss, initial=0.0))
    if not (0 < low < LOW_PER_TOKEN and high < USUAL_PER_BYTE):
        return []
    text = (
        f"The losses run from {low:.3g} to {high:.3g}, and nothing states their unit: nat/token was taken. Losses as "
        f"low are usual per byte. If they are, read the table with {arg('loss_unit', 'bit/byte', column=True)}."
    )
    return [Note("assumed_unit", "info", text, {"lowest": low, "highest": high})]


def oddities(columns: Mapping[str, AnyArray], frame: pd.DataFrame, loss_unit: str, labels: AnyArray) -> list[Note]:
    """Remark on what looks like a wrong unit, or like several corpora in one table.

    Parameters
    ----------
    columns : mapping of str to ndarray, shape (n_runs,)
        Usable rows only.
    frame : DataFrame
        The table with its other columns.
    loss_unit : str
        ``"other"`` turns the remark on the loss off.
    labels : ndarray, shape (n_runs,)
        The number of each row.
    """
    notes = []
    loss = np.nan_to_num(columns["loss"])
    if loss_unit == "nat/token" and len(loss) and float(loss.max()) > LARGEST_LOSS:
        row = labels[int(np.argmax(loss))]
        text = (
            f"The loss is {float(loss.max()):.4g} in row {row}, more than a uniform guess over a million "
            f"tokens costs (13.8 nat/token). It was kept. If it is a perplexity, read the table with "
            f"{arg('loss_unit', 'perplexity', column=True)}; "
            "if it is in another unit, with that."
        )
        notes.append(Note("implausible_loss", "warning", text, {"loss": float(loss.max()), "row": plain(row)}))
    for name, what in _COUNTED.items():
        largest = _largest(columns.get(name))
        if 0 < largest < SMALLEST_COUNT:
            text = (
                f"The largest {name} is {largest:g} {what}, too few for a language model. "
                "The numbers were kept, as asked. If they are in millions or billions, multiply them, "
                "or type 70M or 1.4B."
            )
            notes.append(Note("implausible_unit", "warning", text, {"column": name, "largest": largest}))
    notes += _few_tokens(columns)
    steps = [name for name in frame.columns if str(name).lower() in COUNTS_STEPS]
    runs = [name for name in frame.columns if str(name).lower() in _NAMES_RUN]
    if steps and runs and frame[runs[0]].map(str).duplicated().any():
        text = (
            f"Column {runs[0]!r} repeats while {steps[0]!r} increases: the rows look like points along runs. They were "
            "kept. A loss in mid-run, before the learning rate has decayed, is above the law of finished runs: "
            "keep the last row of each run."
        )
        notes.append(Note("points_along_runs", "warning", text, {"column": str(runs[0])}))
    units = frame["loss_unit"].dropna() if "loss_unit" in frame.columns else ()
    stated = list(dict.fromkeys(str(unit).split("(")[0].strip() for unit in units))
    if len(stated) > 1:
        text = (
            f"Column 'loss_unit' has {len(stated)} values ({', '.join(value[:30] for value in stated[:4])}), and every "
            f"loss was read in one unit. Losses in different units do not follow one law: keep the rows of one unit."
        )
        notes.append(Note("mixed_units", "warning", text, {"units": stated[:20]}))
    if "series" not in frame.columns:
        for name in frame.columns:
            if str(name).lower() in _TELLS_CORPUS:
                values = frame[name].dropna().astype(str).unique()
                if len(values) > 1:
                    some = ", ".join(value[:30] for value in values[:4]) + (", ..." if len(values) > 4 else "")
                    text = (
                        f"Column {name!r} has {len(values)} values ({some}), read as one series. "
                        "Losses on different corpora or tokenizers do not lie on one law: "
                        f"tell them apart with {arg('series', name)}."
                    )
                    notes.append(Note("mixed_series", "warning", text, {"column": str(name)}))
    return notes


def _few_tokens(columns: Mapping[str, AnyArray]) -> list[Note]:
    """Remark on tokens so few for the parameters that the two columns may have changed places."""
    if not set(SIZES) <= set(columns):
        return []
    with np.errstate(all="ignore"):
        ratios = columns["D"] / columns["N"]
    ratios = ratios[ratios > 0]
    ratio = float(np.median(ratios)) if ratios.size else np.inf
    if ratio >= FEWEST_TOKENS:
        return []
    text = (
        f"Half of the runs have {ratio:.2g} tokens per parameter or fewer, where language models are trained on 1 to "
        "1,000. The numbers were kept. If the two columns have changed places, name them: "
        f"{arg('N', ..., column=True)} and {arg('D', ..., column=True)}."
    )
    return [Note("few_tokens", "warning", text, {"ratio": ratio})]


def refuse_small(target: str, column: Any, columns: Mapping[str, AnyArray], name: str) -> None:
    """Refuse an N or D that counts in millions or billions, or is something else, unless C tells that it does not.

    A law's exponents would be the same in any unit, but its optima, and every figure of compute, would not.
    """
    largest = _largest(columns.get(target))
    if not 0 < largest < SMALLEST_COUNT or _told_by_compute(columns):
        return
    looks = "" if column == target else f" looks like {target}, but"
    raise DataError(
        f"Column {column!r} of {name}{looks or ':'} its largest value is {largest:g} {_COUNTED[target]}, "
        "which no language model is trained with",
        "nothing was read",
        f"If it counts millions, name it {str(column) + '_m'!r}, if billions {str(column) + '_b'!r}; "
        f"if it is right as it is, pass {arg(target, column, column=True)}",
    )


def _told_by_compute(columns: Mapping[str, AnyArray]) -> bool:
    """Whether compute of toy models stands beside their sizes, in FLOP: no product of billions is as much."""
    if not {*SIZES, "C"} <= set(columns):
        return False
    ratio = columns["C"] / (columns["N"] * columns["D"])
    return _largest(columns["C"]) > _TOY_COMPUTE and bool(np.nanmin(ratio, initial=np.inf) >= 1)


def _largest(values: AnyArray | None) -> float:
    return 0.0 if values is None else float(np.nanmax(values, initial=0.0))


def plain(value: Any) -> Any:
    """Return a row label as json can hold it."""
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, (int, float, str)) and value == value else str(value)
