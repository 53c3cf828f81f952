"""Plans on limited data: the gain of each further epoch, and rows where repetition has begun to hurt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._arguments import check_numbers, check_quantity
from scalefit._typing import Array
from scalefit.errors import ArgumentError, DataError, arg
from scalefit.planning.loss_surface import Surface, borrowed_repeats, forecast_correction, surface_of
from scalefit.predictor import predictor_of

if TYPE_CHECKING:
    import pandas as pd

#: Epochs in the table of returns.
EPOCHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 100)
#: A loss this much above the lowest so far, relatively, has risen: twice the spread of repeated evaluations.
RISEN = 5e-4


def epoch_returns(
    result: Any,
    N: float | str,
    unique_tokens: float | str,
    *,
    epochs: Sequence[float] = EPOCHS,
    series: str | None = None,
) -> pd.DataFrame:
    """Return what each further epoch over the same tokens gains.

    Parameters
    ----------
    result : FitResult, PublishedLaw, or anything that predicts
        The law; one that does not cover repeated data borrows published constants, and a note in
        ``frame.attrs["notes"]`` says so.
    N : float or str
        Size of the model [parameters].
    unique_tokens : float or str
        Distinct tokens available [tokens].
    epochs : sequence of float
        Passes over the data, at least 1.
    series : str, optional
        Which series, for fits with ``by="shared"``.

    Returns
    -------
    DataFrame
        ``epochs``, ``D`` seen [tokens], ``loss`` [nat/token], ``gain`` of loss per epoch since the row above
        [nat/token], and ``worth``: the value of one more token of this data, in tokens of new data.

    Raises
    ------
    ArgumentError
        A value that is not allowed, or a law without both N and D.

    Examples
    --------
    >>> import scalefit as sf
    >>> law = sf.published("data_constrained", "muennighoff2023")
    >>> table = epoch_returns(law, N=6.34e9, unique_tokens=25e9, epochs=(1, 4, 16, 64))
    >>> table["worth"].round(2).tolist()
    [1.0, 0.82, 0.38, 0.02]
    """
    import pandas as pd

    passes = check_numbers("epochs", epochs)
    if not passes.size or not np.isfinite(passes).all() or (passes < 1).any():
        raise ArgumentError(
            f"{arg('epochs', epochs)} must be finite and at least 1", "nothing was computed", "Give others"
        )
    N, unique_tokens = check_quantity("N", N), check_quantity("unique_tokens", unique_tokens)
    predictor = predictor_of(result)
    surface = surface_of(result, series=series, unique_tokens=unique_tokens).first()
    D = passes * unique_tokens

    def loss(tokens: Any) -> Any:
        correction = [forecast_correction(predictor, surface, N, float(d), series) for d in tokens]
        return np.array(correction) * surface.loss(np.full((1, len(tokens)), N), np.asarray(tokens)[None])[0]

    value = loss(D)
    order = np.sort(np.unique(np.concatenate([[1.0], passes])))
    chain = loss(order * unique_tokens)
    gains = {order[0]: np.nan}
    gains |= {order[i]: (chain[i - 1] - chain[i]) / (order[i] - order[i - 1]) for i in range(1, order.size)}
    table = pd.DataFrame({"epochs": passes, "D": D, "loss": value, "gain": [gains[p] for p in passes]})
    table["worth"] = _worth(surface, passes)
    table.attrs["notes"] = surface.notes
    return table


def _worth(surface: Surface, passes: Array) -> Array:
    """Fresh tokens that one more token is worth: the slope of Muennighoff et al. (2023), eq. 5, at these epochs."""
    own = surface.params is not None and "R_D" in surface.params
    repeats = float(surface.params["R_D"][0]) if own and surface.params else borrowed_repeats()
    return np.asarray(np.exp(-(passes - 1) / repeats))


def mark_repetition(runs: Any) -> pd.DataFrame:
    """Mark the rows in which repetition has begun to hurt: more epochs of the same data, and a higher loss.

    Most laws cannot describe a loss that rises with training, so such rows distort a fit. A fit of ``data_constrained``
    is best identified without them, over 20 epochs and more, and with ``tied={"beta": "alpha"}``.

    Parameters
    ----------
    runs : DataFrame, path, or mapping of columns
        Runs with N, D, ``unique_tokens`` and loss.

    Returns
    -------
    DataFrame
        A copy with ``epochs`` and ``rising``: whether a run of the same size on the same tokens (and series, where
        there is one) reached a loss lower by more than 0.05 % with fewer epochs.

    Raises
    ------
    DataError
        The table has no column of unique tokens.

    Examples
    --------
    >>> runs = {"N": [1e8] * 3, "D": [1e9, 8e9, 6e10], "unique_tokens": [1e9] * 3, "loss": [4.0, 3.7, 4.4]}
    >>> mark_repetition(runs)["rising"].tolist()
    [False, False, True]
    """
    from scalefit.tables.runs import read_runs

    table = read_runs(runs)
    if "unique_tokens" not in table:
        raise DataError(
            "The table has no unique_tokens column",
            "nothing was computed",
            f"Name it, {arg('unique_tokens', ..., column=True)}",
        )
    keys = [key for key in ("series", "N", "unique_tokens") if key in table]
    ordered = table.sort_values("D", kind="stable")
    lowest = ordered.groupby(keys, sort=False)["loss"].cummin()
    table["epochs"] = table["D"] / table["unique_tokens"]
    table["rising"] = (ordered["loss"] > lowest * (1 + RISEN)).reindex(table.index)
    return table
