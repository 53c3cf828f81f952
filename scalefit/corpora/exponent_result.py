"""The result of sf.predict_exponent: the exponents, the choices they depend on, and what not to use them for."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from scalefit._arguments import check_number
from scalefit._calls import explained
from scalefit._files import write_json
from scalefit._plain import plain
from scalefit._text import PAGE, percent
from scalefit._typing import Array
from scalefit.corpora.correlations import Correlations
from scalefit.errors import ArgumentError, Note, arg, note_record

if TYPE_CHECKING:
    from scalefit.plots.corpora import CorrelationFigure

#: What a kind of decay means for the prediction.
_MEANING = {
    "none": "no correlations above the noise floor, so nothing is predicted",
    "too few lags": "correlations stand above the noise floor at too few distances to tell how they fall",
    "exponential": "correlations fall exponentially, not as a power: the theory predicts no exponent from this text",
    "power or exponential": "a power and an exponential describe the correlations about as well: no exponent",
    "neither": "neither a power nor an exponential describes how correlations fall: no exponent",
    "no decay": "correlations do not fall with the distance, so there is no exponent",
    "power law": "",
}


def data_exponent(gamma: float, beta: float, gamma_error: float = 0.0, beta_error: float = 0.0) -> tuple[float, float]:
    """Exponent of the loss in data, gamma / (2 beta), and its error; eqs. 8 and 56 of arXiv:2602.07488.

    Examples
    --------
    The authors' two corpora, TinyStories and WikiText-103 (they print .185 ± .013 and .141 ± .025):

    >>> [round(x, 3) for x in data_exponent(0.325, 0.88, 0.003, 0.06)]
    [0.185, 0.013]
    >>> [round(x, 3) for x in data_exponent(0.265, 0.94, 0.016, 0.16)]
    [0.141, 0.025]
    """
    values = {"gamma": gamma, "beta": beta, "gamma_error": gamma_error, "beta_error": beta_error}
    gamma, beta, gamma_error, beta_error = (check_number(name, value) for name, value in values.items())
    if not (0 < gamma < math.inf and 0 < beta < math.inf):
        raise ArgumentError(
            f"{arg('gamma', shown=f'{gamma:g}')} and {arg('beta', shown=f'{beta:g}')} must be positive",
            "nothing was computed",
            "Check them",
        )
    found = gamma / (2 * beta)
    return found, math.hypot(gamma_error / (2 * beta), found * beta_error / beta)


@dataclass(frozen=True, slots=True)
class Decay:
    """How correlations fall with the distance in a window.

    Attributes
    ----------
    kind : str
        ``"power law"``, ``"exponential"``, ``"power or exponential"``, ``"neither"``, ``"no decay"``,
        ``"too few lags"`` or ``"none"`` (nothing above the noise).
    n_lags : int
        Distances above the noise.
    beta, beta_error, beta_interval : float, float, (float, float)
        Exponent of the power law, its error and interval between resampled lags.
    rms_power, rms_exponential : float
        Root mean square residual of either form, of the logarithm.
    length : float
        Decay length of the exponential [tokens].
    scale : float
        Norm of the power law at distance 1.
    """

    kind: str
    n_lags: int
    beta: float = math.nan
    beta_error: float = math.nan
    beta_interval: tuple[float, float] = (math.nan, math.nan)
    rms_power: float = math.nan
    rms_exponential: float = math.nan
    length: float = math.nan
    scale: float = math.nan


@explained
@dataclass(frozen=True, eq=False)
class ExponentPrediction:
    """A predicted exponent of the loss in data. Made by :func:`scalefit.predict_exponent`.

    Attributes
    ----------
    exponent : float or None
        gamma / (2 beta) in the given window and centring; None if the text shows no power law.
    decay : Decay
        How correlations fall in that window.
    gamma : float or None
        Exponent of the n-gram losses minus `entropy`, over contexts 1 to `contexts`; None if they do not fall.
    entropy : float
        What was subtracted [nat/token].
    window, centring : (float, float), str
        Range of distances [tokens], and whose marginals were subtracted.
    contexts, converged : int
        Longest context behind gamma, and the longest whose loss has converged in data.
    table : DataFrame
        The prediction for every choice: ``window``, ``centring``, ``part`` of the corpus, ``entropy``, ``contexts``,
        ``beta``, ``gamma``, ``exponent``.
    curves : mapping of str to Correlations
        Norms over the lag, by centring.
    losses : ndarray
        Held-out losses of n-grams that look 0, 1, 2, ... tokens back [nat/token].
    n_gram : ndarray
        Measured exponent of the best n-gram's loss minus `entropy`, over each doubling of the training part.
    corpus, tokenizer : str
        Names of the corpus and the tokenizer.
    level : float
        Coverage of beta's own interval.
    notes : tuple of Note
        What to know before you use the numbers.
    """

    exponent: float | None
    decay: Decay
    gamma: float | None
    entropy: float
    window: tuple[float, float]
    centring: str
    contexts: int
    converged: int
    table: pd.DataFrame = field(repr=False)
    curves: Mapping[str, Correlations] = field(repr=False)
    losses: Array = field(repr=False)
    n_gram: Array
    corpus: str
    tokenizer: str
    level: float
    notes: tuple[Note, ...] = ()

    @property
    def interval(self) -> tuple[float, float] | None:
        """Smallest and largest prediction over all choices but H_inf: a range, not a confidence interval.

        Another value of H_inf moves it further; see `table`.
        """
        if self.exponent is None or self.table.empty:
            return None
        rows = self.table[self.table["entropy"] == self.entropy]
        return float(rows["exponent"].min()), float(rows["exponent"].max())

    @property
    def verdict(self) -> str:
        """The prediction, or why there is none, in one or two sentences."""
        where = f"distances {self.window[0]:g} to {self.window[1]:g}, centred by {self.centring}"
        where = where.replace("centred by pooled", "pooled")
        n = f"{self.decay.n_lags} distance{'s' if self.decay.n_lags != 1 else ''} above the noise"
        if self.decay.kind == "exponential":
            return f"At {where} ({n}), {_MEANING['exponential']} (decay length {self.decay.length:.2g} tokens)."
        if self.decay.kind != "power law":
            return f"At {where} ({n}), {_MEANING[self.decay.kind]}."
        if self.exponent is None or self.interval is None:
            return f"At {where} the n-gram losses do not fall with the context, so nothing is predicted."
        low, high = self.interval
        return (
            f"Predicted exponent of the loss in data: {self.exponent:.3g}, and {low:.2g} to {high:.2g} over other "
            f"windows, centrings, parts and contexts (to {self.table['exponent'].max():.2g} with H_inf left free). "
            f"Measured on the best n-gram: {self.n_gram[-1]:.3g} over the last doubling. A measurement of this corpus, "
            "not a prior for a fit."
        )

    def figure(self) -> CorrelationFigure:
        """The numbers of the figure."""
        from scalefit.plots.corpora import CorrelationFigure

        power = self.decay.kind == "power law"
        return CorrelationFigure(
            curves={name: (c.lag, c.norm, c.error, c.kept) for name, c in self.curves.items()},
            noise=next(iter(self.curves.values())).noise,
            window=self.window,
            line=(self.decay.scale, self.decay.beta) if power else None,
            title=self.corpus.split(":")[0],
        )

    def plot(self, ax: Any = None) -> Any:
        """Draw the norms over the distance with the fitted power law; returns the axes."""
        from scalefit.plots.corpora import draw_correlations

        return draw_correlations(self.figure(), ax=ax)

    def to_dict(self) -> dict[str, Any]:
        """Everything as a JSON-compatible dict; a number that is not finite becomes None."""
        curves = {
            name: [
                {"lag": float(lag), "norm": float(norm), "error": plain(float(error)), "kept": bool(kept)}
                for lag, norm, error, kept in zip(c.lag, c.norm, c.error, c.kept, strict=True)
            ]
            for name, c in self.curves.items()
        }
        return {
            "kind": "exponent_prediction",
            "corpus": self.corpus,
            "tokenizer": self.tokenizer,
            "exponent": self.exponent,
            "interval": None if self.interval is None else list(self.interval),
            "decay": {name: plain(getattr(self.decay, name)) for name in Decay.__slots__},
            "gamma": self.gamma,
            "entropy": self.entropy,
            "window": list(self.window),
            "centring": self.centring,
            "contexts": self.contexts,
            "converged": self.converged,
            "losses": [float(loss) for loss in self.losses],
            "n_gram": [float(value) for value in self.n_gram],
            "level": self.level,
            "verdict": self.verdict,
            "table": plain(self.table.to_dict("records")),
            "curves": curves,
            "notes": [note_record(note) for note in self.notes],
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """The same as JSON text, written to `path` if given."""
        return write_json(self.to_dict(), path)

    def __str__(self) -> str:
        lines = textwrap.wrap(f"Exponent in data of {self.corpus}", PAGE, subsequent_indent="  ")
        lines += textwrap.wrap(self.verdict, PAGE, initial_indent="  ", subsequent_indent="  ")
        d = self.decay
        if math.isfinite(d.beta):
            lines.append(
                f"  beta   {d.beta:.3g} [{d.beta_interval[0]:.3g}, {d.beta_interval[1]:.3g}] ({percent(self.level)}, "
                f"between lags); rms of log: power {d.rms_power:.2g}, exponential {d.rms_exponential:.2g}"
            )
        if self.gamma is not None:
            lines.append(
                f"  gamma  {self.gamma:.3g} over contexts 1 to {self.contexts} (converged: {self.converged}), "
                f"H_inf = {self.entropy:g}"
            )
        if not self.table.empty:
            lines.append(f"  {'window':<10}{'centring':<10}{'part':<11}{'beta':>7}{'exponent, over gammas':>26}")
            for names, rows in self.table.groupby(["window", "centring", "part"], sort=False):
                low, high = rows["exponent"].min(), rows["exponent"].max()
                head = "".join(f"{name:<{width}}" for name, width in zip(names, (10, 10, 11), strict=True))
                lines.append(f"  {head}{rows['beta'].iloc[0]:>7.3f}{low:>16.3f} to {high:.3f}")
        for note in self.notes:
            lines += textwrap.wrap(str(note), PAGE, initial_indent="  ", subsequent_indent="    ")
        return "\n".join(lines)
