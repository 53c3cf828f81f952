"""Columns: which one is N, D, C or the loss, and the numbers in its cells as people type them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalefit._names import NON_EMBEDDING_NAMES, SHAPE_NAMES, USUAL_NAMES
from scalefit._text import nearest
from scalefit._typing import AnyArray
from scalefit.counting import parse_quantity
from scalefit.errors import ArgumentError, DataError, arg, way
from scalefit.flops import QUANTITIES

PERPLEXITY_NAMES = tuple("perplexity ppl val_ppl eval_ppl val_perplexity eval_perplexity word_perplexity".split())
PER_BYTE_NAMES = tuple("bpb val_bpb bits_per_byte loss_bpb val_bits_per_byte eval_bpb test_bpb".split())

_SAYS_LOSS = frozenset("loss losses nll bpb bpc bpt crossentropyloss crossentropy".split())
#: Beside such a word a loss column is a part of the loss, its error or its scale, or the loss of training batches.
_NO_LOSS = frozenset(
    "aux z scale std se err stderr error balance balancing router load unit units train training weight weights var "
    "min max reg penalty fn function type name".split()
)
_PER_CHARACTER = "bit/character"

#: Trackers put these before what they keep, as in config.n_params or summary.eval/loss.
_TRACKED = frozenset("config summary hparams hyperparameters params metrics args".split())

#: A status that counts as a finished run; anything else in a status column sets the row aside.
FINISHED = frozenset("finished done complete completed ok success successful succeeded final converged".split())

#: Columns that say what a loss is of; models that differ in one cannot be compared by it.
SAYS_WHAT_LOSS = ("tokenizer", "vocab_size", "val_set", "validation_set", "eval_set", "loss_name", "loss_unit")
_UNIT = {"k": 1e3, "thousand": 1e3, "thousands": 1e3, "m": 1e6, "million": 1e6, "millions": 1e6, "b": 1e9}
_UNIT |= {"bn": 1e9, "billion": 1e9, "billions": 1e9, "t": 1e12, "trillion": 1e12, "trillions": 1e12}
_COUNTED = r"(?:(?:of\s+)?(?:params?|parameters?|tokens?|toks?))"
_FLOP = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15, "e": 1e18, "z": 1e21, "y": 1e24}
_FLOP |= {"giga": 1e9, "tera": 1e12, "peta": 1e15, "exa": 1e18, "zetta": 1e21, "yotta": 1e24}
#: "Params (M)", "Size [M params]", "Tokens (in billions)", "D (1e9)", "Model size (parameters)", "tokens_b".
_IN_BRACKETS = re.compile(r"^(.*?)\s*[(\[]\s*(?:in\s+)?(.+?)\s*[)\]]$")
_SUFFIXED = re.compile(rf"^(.*)_({'|'.join(_UNIT)})$")
_SIZE_UNIT = re.compile(rf"(?:({'|'.join(_UNIT)})(?:\s+{_COUNTED})?|{_COUNTED})")
_TIMES_TEN = re.compile(r"[x×*]?\s*(?:1e\+?|10\s*(?:\^|\*\*)\s*)(\d{1,2})(?:\s+\w+)?")
#: "PFLOP", "exaflops", "PFLOP/s-days", "petaflop days"; a rate without days is no compute.
_FLOP_UNIT = re.compile(
    rf"({'|'.join(sorted(_FLOP, key=len, reverse=True))[:-1]})?\s*-?f(?:lops?)?(/s|s)?(?:[\s-]*(days?))?"
)
#: Tokens for each parameter, from which D follows.
_RATIO_NAMES = frozenset("tokens_per_param tokens_per_parameter tpp token_param_ratio d_per_n d_over_n d_n".split())

#: Columns that count the steps of one run.
COUNTS_STEPS = frozenset("step steps _step global_step iteration iter".split())
#: Of the log of one run; a table of runs may count epochs too, in a column "epochs".
_OF_LOGS = COUNTS_STEPS | {"epoch"}
#: Of a W&B line plot: "run-a - eval/loss".
_OF_RUN = re.compile(r".+ - .+")
_LARGEST = 1e300  # a whole number of more digits is not a float
_VARIANT = re.compile(r"[^_].*?__(?!(?i:min|max|mean|std|sem)$)")
#: Names that say too little inside a nested one: config.data.size is not the model's.
_TOO_SHORT = frozenset("n d c u size budget compute data loss_val".split())


#: For each of them, the usual names of the others, which are never offered for it.
_ELSEWHERE = {
    target: frozenset(name for other, usual in USUAL_NAMES.items() if other != target for name in usual)
    | (frozenset("gflops tflops mfu flops_per_token".split()) if target == "loss" else frozenset())
    for target in USUAL_NAMES
}


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a canonical column comes from: a column of the table or a constant for every run."""

    column: str | None
    constant: float | None = None
    factor: float = 1.0
    guessed: bool = False


def choose(
    target: str,
    asked: str | float | None,
    columns: Iterable[Any],
    loss_unit: str = "nat/token",
    usual: Iterable[str] | None = None,
) -> Choice | None:
    """Find the column for a canonical name, as asked for or by its usual names.

    Parameters
    ----------
    target : str
        The canonical name, such as ``"N"``.
    asked : str or number, optional
        A column, or a quantity that holds for every run (``D=300e9`` or ``D="300B"``).
    columns : iterable of str
        What the table has.
    loss_unit : str
        Loss columns named for bits per byte are guessed only where the unit is per byte.
    usual : iterable of str, optional
        The usual names of a target that is not one of those known here.

    Returns
    -------
    Choice or None
        None where nothing was asked for and no usual name is there.

    Raises
    ------
    DataError
        A column that was asked for is not there, or two columns have its name.
    """
    names = [str(column) for column in columns]
    if asked is not None:
        return as_asked(target, asked, names)
    if names.count(target) == 1:
        return Choice(target)
    usual = tuple(SHAPE_NAMES.get(target) or USUAL_NAMES[target]) if usual is None else tuple(usual)
    if target == "loss":
        usual = (*PER_BYTE_NAMES, *usual) if loss_unit.endswith("/byte") else (*usual, *PER_BYTE_NAMES)
        usual = (*PERPLEXITY_NAMES, *usual) if loss_unit == "perplexity" else usual
    if target == "N":
        usual = (*usual, *NON_EMBEDDING_NAMES)
    plain = [(plain_name(name), name, 1.0) for name in names]
    with_unit = [_without_unit(target, name) for name in names] if target in QUANTITIES else []
    tracked = [name for name in names if "." in name and name.split(".", 1)[0] in _TRACKED]
    nested = [(plain_name(name.rsplit(".", 1)[1]), name, 1.0) for name in tracked]
    if target != "loss":  # sections of a tracker: throughput/total_tokens
        nested += [(plain_name(name.rsplit("/", 1)[1]), name, 1.0) for name in names if "/" in name]
    # what a long table measured several ways: model_size__non_embedding, test_loss__c4
    nested += [(plain_name(name.split("__", 1)[0]), name, 1.0) for name in names if _VARIANT.match(name)]
    exact = [name for name in tracked if name.rsplit(".", 1)[1] == target]  # config.model.N says enough in its case
    if target == "N" and exact:
        exact += [name for name in tracked if plain_name(name.rsplit(".", 1)[1]) in NON_EMBEDDING_NAMES]
    if exact and not any(key in usual for key, _, _ in plain):
        return only_one(target, exact)
    for wanted in usual:
        for candidates in (plain, with_unit, [] if wanted in _TOO_SHORT else nested):
            found = [(name, factor) for key, name, factor in candidates if key == wanted]
            if found:
                return only_one(target, [name for name, _ in found], found[0][1])
    losses = [name for name in names if _may_be_loss(name)] if target == "loss" else []
    return only_one(target, losses) if losses else None


def only_one(target: str, found: list[str], factor: float = 1.0) -> Choice:
    """Take the column that was found, or ask where there are several."""
    if len(found) > 1 and all(map(_OF_RUN.match, found)) and target == "loss":
        raise DataError(
            f"{{name}} holds the curves of {len(found)} runs, a column for each ({listed(found[:3])}), and a law is "
            "fitted to a table with one row per run",
            "nothing was read",
            f"Make that table with {way('sf.collect', 'scalefit collect')}, with N and D where the file does not have "
            f"them; scalefit advise reads one of the curves",
        )
    if len(set(found)) > 1:
        raise DataError(
            f"Columns {listed(found)} of {{name}} could each be {target}",
            "none was taken",
            f"Say which one: {arg(target, found[0], column=True)}",
        )
    if len(found) > 1:
        raise DataError(f"{{name}} has the column {found[0]!r} more than once", "it was not read", "Rename one of them")
    return Choice(found[0], factor=factor, guessed=True)


def _may_be_loss(name: str) -> bool:
    words = set(plain_name(name).split("_"))
    says = words & _SAYS_LOSS or {"cross", "entropy"} <= words or "bits_per_byte" in plain_name(name)
    return bool(says) and not words & _NO_LOSS


def unit_in_name(name: str | None) -> str | None:
    """Return the unit that the name of a loss column tells, such as "bit/byte" of "val_bpb"; None where it does not."""
    plain = plain_name(name or "")
    words = set(plain.split("_"))
    stated = {
        "bit/byte": "bpb" in words or "bits_per_byte" in plain,
        "nat/byte": "nats_per_byte" in plain,
        _PER_CHARACTER: "bpc" in words or "bits_per_char" in plain,
        "bit/token": bool(words & {"bpt", "bits"}) and "per" not in words or "bits_per_token" in plain,
        "perplexity": bool(words & {"ppl", "perplexity"}),
    }
    return next((unit for unit, is_so in stated.items() if is_so), None)


def as_asked(target: str, asked: str | float, names: list[str]) -> Choice:
    """Take the column, or the number for every run, that was asked for by name."""
    if isinstance(asked, str):
        if names.count(asked) > 1:
            raise DataError(
                f"Column {asked!r}, named by {arg(target, column=True)}, is in the table {names.count(asked)} times",
                "nothing was read",
                "Rename the others",
            )
        if asked in names:
            return Choice(asked)
        if target not in ("loss", "series", "status", "weight"):
            try:
                asked = parse_quantity(asked)
            except ArgumentError:
                pass
    if isinstance(asked, (int, float, np.integer, np.floating)) and not isinstance(asked, bool):
        if not 0 < asked < _LARGEST:
            raise ArgumentError(
                f"{arg(target, asked, column=True)} is not a column of the table",
                "nothing was read",
                "Name a column, or give a positive number for every run",
            )
        return Choice(None, constant=float(asked))
    raise DataError(
        f"No column {asked!r}, which {arg(target, column=True)} names",
        "nothing was read",
        f"{_closest(str(asked), names)}",
    )


def refuse_shared(chosen: Mapping[str, Choice]) -> None:
    """Refuse a column that is to be two of N, D, C and loss at once."""
    role: dict[str, str] = {}
    for target in (*QUANTITIES, "loss"):
        column = chosen[target].column if target in chosen else None
        if column is not None and column in role:
            raise DataError(
                f"Column {column!r} of {{name}} would be both {role[column]} and {target}",
                "nothing was read",
                f"Name another for one: {arg(role[column], ..., column=True)} or {arg(target, ..., column=True)}",
            )
        if column is not None:
            role[column] = target


def transposed(labels: Iterable[Any]) -> DataError | None:
    """Return the error of a table whose rows, by their labels, are N, D and the loss; None where they are runs."""
    names = [str(label) for label in labels]
    found: dict[str, str] = {}
    if len(set(names)) == len(names):
        for target in (*QUANTITIES, "loss"):
            try:
                choice = choose(target, None, names)
            except DataError:  # several could be it
                continue
            found |= {} if choice is None or choice.column is None else {choice.column: target}
    # Runs may be called a, b, c, d; a table of runs that lies on its side has the loss among its rows.
    if len(found) < 2 or not any(plain_name(name) in USUAL_NAMES["loss"] for name in names):
        return None
    return DataError(
        f"{{name}} looks transposed: its rows are {listed(list(found))}, and a table of runs has one row per run",
        "nothing was read",
        "Use df.T in pandas, or Paste special > Transpose in a spreadsheet",
    )


def missing_column(
    target: str, names: Iterable[Any], argument: str | None = None, source: Mapping[str, Any] | None = None
) -> DataError:
    """Return the error of a missing column: what the table has, and by which argument to name one, if any.

    `source` maps the columns of a table that was read before to what they are called in its file.
    """
    there = [str(name) for name in names]
    free = [name for name in there if name not in (source or {})]
    free = [name for name in free if plain_name(name) not in _ELSEWHERE[target]] if target in _ELSEWHERE else free
    has = _closest(target, [str((source or {}).get(name, name)) for name in there], free)
    if target == "loss":
        for name in there:
            if plain_name(name) in PERPLEXITY_NAMES:
                how = f"{arg('loss_unit', 'perplexity', column=True)} and {arg('loss', name, column=True)}"
                return DataError(
                    f"There is no loss column in {{name}}, but {name!r}. {has}",
                    "nothing was read",
                    f"If that is per token, read the table with {how}",
                )
    others = {"N": "D", "D": "N"}
    if target in others and set(QUANTITIES) & set(there):
        what = f"{target} column, and not both {others[target]} and C to compute it from,"
    else:
        what = {"N": "N, D or C column"}.get(target, f"{target} column")
    argument = target if argument is None and target in USUAL_NAMES else argument
    ratio = next((name for name in there if target == "D" and plain_name(name) in _RATIO_NAMES), None)
    if ratio is not None:
        how = f"Multiply {ratio!r} by N for the tokens, in a column of its own"
        return DataError(f"There is no {what} in {{name}}. {has}", "nothing was read", how)
    how = (
        f"Name the column with {arg(argument, column=True)}"
        if argument
        else f"Name the column that holds it {target!r}"
    )
    if "not both" in what:
        how += f", or that of the compute with {arg('C', column=True)}"
        alone = [name for name in QUANTITIES if name in there]
        if {*there} == {*alone[:1], "loss"}:  # nothing else is there that could be named
            how += f"; {arg('law', f'power_law:{alone[0]}')} is a law of {alone[0]} alone"
    if target in ("N", "loss") and any(name.lower() in _OF_LOGS for name in there):
        how += "; the log of one run is for scalefit advise"
    elif what.startswith("N, D or C"):
        how += f"; one size of all runs is a number, {arg('N', '124M', column=True)}"
    return DataError(f"There is no {what} in {{name}}. {has}", "nothing was read", how)


def stated_unit(frame: pd.DataFrame) -> str | None:
    """Return what a column ``loss_unit`` says of every loss: a known unit, or its own words; None where it does not."""
    if "loss_unit" not in frame.columns:
        return None
    stated = frame["loss_unit"].dropna().astype(str).unique()
    units = {unit_of(text) or text.strip() for text in stated} - {""}
    return units.pop() if len(units) == 1 else None


def unit_of(text: str) -> str | None:
    """Return the unit that words such as "nats/token (GPT-2 vocabulary)" or "bits per byte" mean, None if unknown."""
    plain = re.sub(r"\s*(?:/|\bper\b)\s*", "/", text.split("(")[0].strip().lower())
    plain = re.sub(r"\b(nat|bit|token|byte)s\b", r"\1", plain)
    known = ("nat/token", "bit/token", "bit/byte", "nat/byte", "perplexity")
    usual = {
        "nat/tok": "nat/token",
        "nat": "nat/token",
        "bit/tok": "bit/token",
        "bit": "bit/token",
        "bpb": "bit/byte",
        "ppl": "perplexity",
    }
    return plain if plain in known else usual.get(plain)


def counts_no_embeddings(choice: Choice) -> bool:
    """Return whether N is a column that is named for leaving the embeddings out."""
    return choice.column is not None and plain_name(choice.column) in NON_EMBEDDING_NAMES


def _closest(wanted: str, names: list[str], among: list[str] | None = None) -> str:
    among = names if among is None else among
    hint = nearest(wanted, among)
    if wanted in USUAL_NAMES and not hint:  # "Parameter" is near a usual name of N, not to "N"
        likely = [name for name in among if nearest(name, USUAL_NAMES[wanted], 0.8)]
        hint = f"Did you mean {likely[0]!r}? " if likely else ""
    return f"{hint}The table has {listed(names)}."


def listed(names: Sequence[str]) -> str:
    """The first dozen of a table's columns, and how many more there are."""
    shown = ", ".join(repr(name[:40]) for name in names[:12])
    return shown + (f" and {len(names) - 12} more" if len(names) > 12 else "") if names else "no columns"


def plain_name(name: str) -> str:
    """A column's name in lower case, with ``_`` for every other sign."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _without_unit(target: str, name: str) -> tuple[str, str, float]:
    """Split "Params (M)", "tokens_b" or "compute (PFLOP-days)" into its plain name, itself and its factor."""
    low = name.strip().lower()
    if match := _IN_BRACKETS.match(low):
        if tens := _TIMES_TEN.fullmatch(match[2]):
            return plain_name(match[1]), name, float(f"1e{tens[1]}")
        if target == "C" and (flop := _FLOP_UNIT.fullmatch(match[2])) and (flop[3] or flop[2] != "/s"):
            return plain_name(match[1]), name, _FLOP[flop[1] or ""] * (86400.0 if flop[3] else 1.0)
        if target != "C" and (size := _SIZE_UNIT.fullmatch(match[2])):
            return plain_name(match[1]), name, _UNIT.get(size[1], 1.0)
    elif target != "C" and (match := _SUFFIXED.match(low)):
        return plain_name(match[1]), name, _UNIT[match[2]]
    return "", name, 1.0


def factor_in(target: str, words: str) -> float:
    """Return what a unit such as "M" or "(in billions)" multiplies numbers by; 1 where the words are none."""
    return _without_unit(target, f"{target} ({words.strip('()[] ')})")[2]


def label_series(frame: pd.DataFrame, columns: str | Iterable[str]) -> pd.Series[Any]:
    """Join one or more columns into one label for each run; a blank becomes "(none)"."""
    names = [columns] if isinstance(columns, str) else list(columns)
    parts = [frame[name].astype(object).where(frame[name].notna(), "(none)").astype(str) for name in names]
    joined = parts[0]
    for part in parts[1:]:
        joined = joined + " | " + part
    return joined


def unfinished(status: AnyArray) -> Mapping[int, str]:
    """Return position and reason of each run whose status does not say that it finished.

    A blank status says nothing and is let through.
    """
    found: dict[int, str] = {}
    for i, cell in enumerate(status):
        if cell is None or cell is pd.NA or cell is True or (isinstance(cell, float) and math.isnan(cell)):
            continue
        text = str(cell).strip()
        if text and text.lower() not in FINISHED:
            found[i] = f"status is {text[:40]!r}"
    return found
