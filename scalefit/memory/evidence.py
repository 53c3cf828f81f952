"""The floor of 1 nat against data: runs that lie below it, and the memoriser's floor of Remarks 1 and 2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._typing import ArrayLike
from scalefit.errors import ArgumentError, DataError, arg
from scalefit.memory._conventions import first_bad, positive, reals, scalar

if TYPE_CHECKING:
    import pandas as pd

#: What a reader needs to judge a run below the floor, under the names that tables use.
_CONTEXT = (
    "name",
    "model",
    "run_id",
    "series",
    "family",
    "N",
    "D",
    "params_N",
    "tokens_D",
    "loss",
    "floor",
    "below_by",
)
_TOKENIZER = ("tokenizer", "tokenizer_vocab", "vocab_size")
_SOURCE = ("eval_set", "train_set", "aux_loss", "doubt", "remark", "source")


def check_floor(runs: Any, *, floor: float = 1.0) -> pd.DataFrame:
    """List the runs whose loss lies below the floor, lowest first: each is evidence against the hypothesis.

    Parameters
    ----------
    runs : DataFrame, path, or mapping of columns
        One row per run, with a column ``loss`` [nat/token] (or another usual name). If there is a column
        ``loss_unit``, rows in another unit are left out and counted in ``attrs``. So are rows without a loss.
    floor : float
        The floor to test [nat/token].

    Returns
    -------
    DataFrame
        The runs below the floor, with the columns that identify them, their tokenizer (the floor is per token, so it
        depends on it; ``"not stated"`` where the table does not say), and ``below_by`` [nat/token].
        ``attrs`` holds ``n_runs`` (tested), ``n_below``, ``n_other_unit`` and ``n_missing``.

    Raises
    ------
    DataError
        The table cannot be read, or it has no column of losses with numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> runs = pd.DataFrame({"model": ["a", "b"], "loss": [0.8, 2.1], "tokenizer": ["code BPE", "GPT-2"]})
    >>> found = check_floor(runs)
    >>> found[["model", "loss", "tokenizer"]].values.tolist(), found.attrs["n_runs"]
    ([['a', 0.8, 'code BPE']], 2)
    """
    import pandas as pd

    from scalefit.tables.columns import unit_of

    runs = _with_loss(runs)
    if runs.attrs.get("scalefit", {}).get("loss_unit") == "other":
        raise DataError(
            f"The loss of the table is in a unit of its own ({arg('loss_unit', 'other')}), and the floor is per token",
            "the floor was not tested",
            "Read the table again with its unit",
        )
    limit = scalar("floor", floor)
    loss = pd.to_numeric(runs["loss"], errors="coerce").to_numpy(float, na_value=np.nan)
    in_nats = np.ones(len(runs), dtype=bool)
    if "loss_unit" in runs.columns:
        in_nats = np.array([unit_of(str(text)) == "nat/token" for text in runs["loss_unit"]], dtype=bool)
    tested = in_nats & np.isfinite(loss)
    if len(runs) and not tested.any():
        raise DataError(
            f"None of the {len(runs)} runs has a finite loss in nats per token",
            "the floor was not tested",
            "Convert with scalefit.counting.nats_per_token",
        )
    below = tested & (loss < limit)
    found = runs.loc[below].copy()
    found["loss"] = loss[below]
    found["floor"] = limit
    found["below_by"] = limit - loss[below]
    if not any(name in found.columns for name in _TOKENIZER):
        found["tokenizer"] = "not stated"
    kept = [name for name in (*_CONTEXT, *_TOKENIZER, *_SOURCE) if name in found.columns]
    found = pd.DataFrame(found[kept]).sort_values("loss", kind="stable")
    found.attrs.update(
        n_runs=int(tested.sum()),
        n_below=int(below.sum()),
        n_other_unit=int((~in_nats).sum()),
        n_missing=int((in_nats & ~np.isfinite(loss)).sum()),
    )
    return found


def _with_loss(runs: Any) -> pd.DataFrame:
    """Return the table as a frame with its losses in a column ``loss``."""
    from scalefit.tables.columns import choose
    from scalefit.tables.files import read_file
    from scalefit.tables.reader import as_frame

    if isinstance(runs, (str, Path)):
        frame = read_file(Path(runs), check=lambda head: None).frame
    elif isinstance(runs, Mapping):
        frame = as_frame(runs)
    elif hasattr(runs, "columns"):
        frame = runs
    else:
        raise DataError(
            f"check_floor was given a {type(runs).__name__}", "nothing was tested", "Pass a table with a column 'loss'"
        )
    if list(frame.columns).count("loss") > 1:
        raise DataError("The table has several columns 'loss'", "nothing was tested", "Keep the one in nats per token")
    found = choose("loss", None, frame.columns)
    if found is None:
        raise DataError(
            f"The table has no column 'loss' (its columns: {', '.join(map(str, frame.columns)) or 'none'})",
            "nothing was tested",
            "Rename the one that holds the loss in nats per token",
        )
    return frame if found.column == "loss" else frame.rename(columns={found.column: "loss"})


def sample_entropy(counts: ArrayLike, lengths: ArrayLike | None = None) -> float:
    """Return the entropy of the training samples, the floor of a model that memorises them (Remark 2).

    Parameters
    ----------
    counts : array_like or int
        How often each distinct sample occurs, shape (k,); or the number of distinct, equally frequent ones.
    lengths : array_like, optional
        Tokens of each sample, one number or shape (k,) [tokens]. Without it the answer is per sample.

    Returns
    -------
    float
        Entropy [nat/token], or [nat/sample] without `lengths`.

    Raises
    ------
    ArgumentError
        Counts that are negative or all zero, or lengths that are not positive or whose number differs from the counts'.

    Examples
    --------
    >>> round(sample_entropy(200, 21.15), 4)  # 200 lines of 21.15 tokens
    0.2505
    >>> round(sample_entropy([3, 1]), 4)
    0.5623
    """
    numbers = reals("counts", counts)
    if numbers.ndim > 1:
        raise ArgumentError(
            f"counts have shape {numbers.shape}",
            "nothing was estimated",
            "Pass one count per distinct sample, shape (k,)",
        )
    if numbers.ndim == 0:
        k = float(positive("counts", counts, integer=True))
        nats: Any = np.log(k)
        mean_length = 1.0 if lengths is None else float(positive("lengths", lengths).mean())
        return float(nats / mean_length)
    good = np.isfinite(numbers) & (numbers >= 0)
    if not good.all() or not numbers.any():
        bad = "counts sum to zero" if good.all() else first_bad("counts", numbers, good)
        raise ArgumentError(bad, "nothing was estimated", "Give finite counts, zero or more, one at least positive")
    share = numbers / numbers.max()
    share = share / share.sum()
    held = share > 0
    nats = -(share[held] * np.log(share[held])).sum()
    if lengths is None:
        return float(nats)
    tokens = positive("lengths", lengths)
    if tokens.ndim > 1 or (tokens.ndim == 1 and tokens.shape != numbers.shape):
        raise ArgumentError(
            f"lengths have shape {tokens.shape}",
            "nothing was estimated",
            f"Pass one number or {len(numbers)}, one per sample",
        )
    return float(nats / (share * tokens).sum())
