"""Read tables: from any list of runs to the columns N, D, C and loss, with their conventions.

Nothing is dropped silently: a row that cannot be used is set aside with its number and the reason, a column
that was guessed is named, and both travel with the table in ``runs.attrs["scalefit"]``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from scalefit._arguments import check_mapping, one_of
from scalefit._calls import explained
from scalefit._text import known
from scalefit._warn import warn_user
from scalefit.counting import PARAMS_CONVENTIONS
from scalefit.errors import ArgumentError, ScalefitWarning, arg, note_record
from scalefit.flops import CONVENTIONS
from scalefit.tables.limits import Limits
from scalefit.tables.reader import Request, read

LOSS_UNITS = ("nat/token", "bit/token", "bit/byte", "nat/byte", "perplexity", "other")

LISTED_ROWS = 1000  # attrs are copied with every frame made from this one, so the list has an end


@explained
def read_runs(
    source: str | Path | pd.DataFrame | Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    N: str | float | None = None,
    D: str | float | None = None,
    C: str | float | None = None,
    loss: str | None = None,
    loss_unit: str | None = None,
    params: str | None = None,
    flops: str | None = None,
    bytes_per_token: str | float | None = None,
    series: str | Iterable[str] | None = None,
    unique_tokens: str | float | None = None,
    weight: str | None = None,
    status: str | None = None,
    format: str | None = None,
    incomplete: Literal["set_aside", "keep"] = "set_aside",
    columns: Mapping[str, str | float] | None = None,
    inputs: Mapping[str, str | float] | None = None,
    declared: Mapping[str, Any] | None = None,
    max_rows: int | None = None,
    max_bytes: int | None = None,
) -> pd.DataFrame:
    """Read a table of training runs.

    Parameters
    ----------
    source : path, DataFrame, mapping of columns, or list of records
        Files: csv, tsv, json, jsonl or parquet; text may be gzipped.
    N, D, C : str or number, optional
        The column of parameters [parameters], training tokens [tokens] and training compute [FLOP], or one
        quantity for every run (``D="300B"``). By default the usual names are tried, and any two of the three
        give the third. Cells may have a suffix: 7e9, 7B, 1.4T.
    loss : str, optional
        The column of the loss.
    loss_unit : {"nat/token", "bit/token", "bit/byte", "nat/byte", "perplexity", "other"}, default "nat/token"
        Unit of the source's loss; by default a column ``loss_unit`` with one value is used. The result is in
        nat/token, except that ``"other"`` is kept.
    params : str, default "total"
        What N counts, one of `PARAMS_CONVENTIONS`. If the source was read before, its `params` and `flops` are kept.
    flops : str, default "6ND"
        The convention that relates C to N and D.
    bytes_per_token : str or number, optional
        A column or number [byte/token]; needed for losses per byte.
    series : str or list of str, optional
        The column or columns that distinguish runs of different corpora or tokenizers.
    unique_tokens : str or number, optional
        The column of distinct training tokens [tokens], if data was repeated.
    weight, status : str, optional
        The column of weights, and the column that says how each run ended.
    format : {"csv", "tsv", "json", "jsonl", "parquet"}, optional
        Overrules the guess from content and name.
    incomplete : {"set_aside", "keep"}
        What happens to a row without a loss, or without an N, D or C that others have: ``"keep"`` leaves it NaN.
    columns : mapping of str to str or number, optional
        The columns above by name: ``{"N": "params_total"}`` means ``N="params_total"``.
    inputs : mapping of str to str or number, optional
        Columns of a law's other inputs, as ``{"n_experts": "config.moe.n"}``, or a number for every run. A name with
        dots reaches into nested JSON.
    declared : mapping, optional
        Declarations of a law, ``law.reads()``: its target and inputs are found by their usual names, and zeros and
        negative values are kept if the law allows them.
    max_rows, max_bytes : int, optional
        Most rows, and most bytes of text once unpacked, that are read from a file: 2 million and 128 MiB (a quarter
        of it for json).

    Returns
    -------
    DataFrame
        Columns N, D, C (those known), loss, then the others unchanged. The index, named ``row``, is the row's
        number in the file (csv: the header is row 1) or its label in the frame. ``attrs["scalefit"]`` holds
        the conventions, what was guessed and what was set aside.

    Raises
    ------
    DataError
        The table cannot be read, lacks a column, or has no usable row.
    ArgumentError
        An argument names an unknown convention or unit.

    Warns
    -----
    ScalefitWarning
        Rows were set aside; the warning names them.

    Examples
    --------
    >>> runs = read_runs({"n_params": ["70M", "1.4B"], "tokens": ["1.4B", "28B"], "val_loss": [3.9, 2.7]})
    >>> runs[["N", "D", "C", "loss"]].iloc[1].tolist()
    [1400000000.0, 28000000000.0, 2.352e+20, 2.7]
    >>> runs.attrs["scalefit"]["guessed"]
    {'N': 'n_params', 'D': 'tokens', 'loss': 'val_loss'}
    """
    _require_known("params", "total" if params is None else params, PARAMS_CONVENTIONS)
    _require_known("flops", "6ND" if flops is None else flops, CONVENTIONS)
    _require_known("loss_unit", "nat/token" if loss_unit is None else loss_unit, LOSS_UNITS)
    _require_known("incomplete", incomplete, ("set_aside", "keep"))
    asked = {"N": N, "D": D, "C": C, "loss": loss, "unique_tokens": unique_tokens, "weight": weight, "status": status}
    for name, column in check_mapping("columns", columns, "{'N': 'params_total'}").items():
        if name == "series" and series is None:
            series = column
        elif name not in asked or asked[name] is not None:
            why = "was named twice" if name in asked or name == "series" else "is not one of them"
            raise ArgumentError(
                f"{arg('columns', {name: column})}: {name!r:.40} {why}",
                "nothing was read",
                f"{known(name, (*asked, 'series'))}; pass what else a law reads as {arg('inputs')}",
            )
        else:
            asked[name] = column
    named = check_mapping("inputs", inputs, "{'n_experts': 'config.moe.n'}")
    for name in [name for name in named if name in asked]:
        if asked[name] is not None:
            raise ArgumentError(f"{arg('inputs')} names {name!r} again", "nothing was read", "Name it once")
        asked[name] = named.pop(name)
    request = Request(
        asked,
        _names_of(series),
        loss_unit,
        bytes_per_token,
        params,
        flops,
        incomplete,
        named=named,
        declared=declared or {},
        limits=Limits.of(max_rows, max_bytes),
    )
    table = read(source, request, format)
    if table.set_aside:
        warn_user(f"{table.conventions['source']}: {table.notes[-1].template}")
    runs = table.frame
    runs.attrs["scalefit"] = {
        **table.conventions,
        "n_rows": len(runs) + len(table.set_aside),
        "n_set_aside": len(table.set_aside),
        "set_aside": [{"row": row, "reason": why} for row, why in table.set_aside[:LISTED_ROWS]],
        "notes": [note_record(note) for note in table.notes],
    }
    return runs


def read_for_fit(source: Any, **options: Any) -> pd.DataFrame:
    """Read, and leave it to the fit of the whole table to warn of rows: it knows all that cannot be used."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScalefitWarning)
        runs = read_runs(source, incomplete="keep", **options)
    runs.attrs["scalefit"]["rows_told"] = False
    return runs


def name_columns(
    runs: Any,
    columns: Mapping[str, Any] | None,
    inputs: Mapping[str, Any] | None = None,
    declared: Mapping[str, Any] | None = None,
) -> Any:
    """Read a table with the columns that a caller names; untouched where none is named."""
    if not columns and not inputs:
        return runs
    return read_for_fit(runs, columns=columns, inputs=inputs, declared=declared)


def _names_of(series: Any) -> tuple[str, ...]:
    """Names of the columns that tell series apart."""
    if series is None:
        return ()
    names = (series,) if isinstance(series, str) else tuple(series) if isinstance(series, Iterable) else (series,)
    if not all(isinstance(name, str) for name in names):
        raise ArgumentError(
            f"{arg('series', series)} names no columns", "nothing was read", "Pass the name of one, or a list of names"
        )
    return names


def _require_known(argument: str, value: str, names: Iterable[str]) -> None:
    if not one_of(value, names):
        raise ArgumentError(f"{arg(argument, value)} is not known", "nothing was read", known(value, names))
