"""sf.chain: a metric from N and D through the loss, with the errors of both steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit import __version__
from scalefit._arguments import check_count, check_level
from scalefit._calls import explained
from scalefit._typing import Array, ArrayLike
from scalefit.downstream.composed import FIRST, SECOND, compose
from scalefit.downstream.quantiles import SCORES, quantile_table
from scalefit.downstream.two_step import TwoStep
from scalefit.errors import ArgumentError, Note, arg
from scalefit.fitting.citations import cited_once
from scalefit.laws._base import Law
from scalefit.laws._declarations import INPUTS, Target
from scalefit.predictor import Predictor, predictor_of

if TYPE_CHECKING:
    import pandas as pd

FORMAT, KIND = 1, "chain"
_BEYOND = 0.02  # share of the range of losses by which a prediction may leave it without a note


@explained
@dataclass(frozen=True, eq=False)
class Chain(TwoStep):
    """A predictor of the loss followed by a predictor of a metric from the loss. Made by :func:`scalefit.chain`.

    Attributes
    ----------
    first, second : Predictor
        Predictor of the loss, and predictor of the metric from the loss.
    through : str
        The input of the second that is the loss.
    """

    first: Predictor
    second: Predictor
    through: str

    def predict(self, **inputs: ArrayLike) -> float | Array:
        """The metric at the given inputs of the loss: a float for scalars, else an array like the input."""
        own, shared = self._split(inputs)
        between = self.first.predict(**own)
        return self.second.predict(**{self.through: between}, **shared)

    def predict_interval(self, *, level: float = 0.9, **inputs: ArrayLike) -> pd.DataFrame:
        """Interval for the metric of a new run.

        The metric's interval is computed at many quantiles of the loss and averaged, so it covers the errors of the
        loss, of the metric's curve, and the scatter about each.

        Parameters
        ----------
        level : float
            Coverage wanted, between 0 and 1.
        **inputs : array_like
            Inputs of the first step, such as N [parameters] and D [tokens].

        Returns
        -------
        DataFrame
            ``loss`` (what is predicted: the metric, under the name that every predictor uses), ``lower``, ``upper``,
            and ``between``, the loss behind it, with ``between_lower`` and ``between_upper``. The
            ends are NaN if one of the steps has no errors.
        """
        import pandas as pd

        level = check_level(level)
        own, shared = self._split(inputs)
        table, notes = quantile_table(self.first, own)
        value = np.ravel(np.asarray(self.predict(**inputs), float))
        m = table.shape[1]
        out = pd.DataFrame({"loss": value, "lower": np.nan, "upper": np.nan})
        tail = (1 - level) / 2
        known = np.isfinite(table).all(axis=0)
        below, above = (_at(table, share) for share in (tail, 1 - tail))
        if known.any():
            weight = np.exp(-0.5 * SCORES**2)
            rest = {key: np.tile(np.broadcast_to(np.ravel(v), (m,)), len(SCORES)) for key, v in shared.items()}
            both, more = quantile_table(self.second, {self.through: table.ravel(), **rest})
            both, remark = self._at_impossible(both, table, rest)
            more = [note for note in more if note.code != "impossible_value"] + remark if remark else more
            cube = both.reshape(len(SCORES), len(SCORES), m)
            ends = [_pooled(cube[:, :, i], np.outer(weight, weight), (tail, 1 - tail)) for i in range(m)]
            out["lower"], out["upper"] = (self._within(np.array(end)) for end in zip(*ends, strict=True))
            notes = [*notes, *more]
        out["between"], out["between_lower"], out["between_upper"] = table[len(SCORES) // 2], below, above
        out.attrs["notes"] = [*_once(notes), *self._beyond(table[len(SCORES) // 2])]
        return out

    @property
    def target(self) -> Target:
        """What the second step predicts."""
        return self.second.target

    def _within(self, values: Array) -> Array:
        """Values kept in the range of the metric."""
        return values if self.second.law is None else np.clip(values, *self.target.range)

    def _at_impossible(self, quantiles: Array, losses: Array, rest: Mapping[str, Any]) -> tuple[Array, list[Note]]:
        """Take the end of the range where the tails of the loss (s, m), and they alone, make the metric impossible.

        `quantiles` (s, s m) are of the metric at each quantile of the loss; a point whose middle cannot be has none.
        """
        if self.second.law is None:
            return quantiles, []
        at = np.asarray(self.second.predict(**{self.through: losses.ravel()}, **rest), float).reshape(losses.shape)
        odd = self._within(at) != at
        odd &= ~odd[len(odd) // 2]
        if not odd.any():
            return quantiles, []
        share = float((odd * np.exp(-0.5 * SCORES**2)[:, None]).sum(axis=0).max() / np.exp(-0.5 * SCORES**2).sum())
        text = (
            f"At up to {100 * share:.2g} % of the losses that the first step allows, the law gives a value of "
            f"{self.target.name} that is impossible: it was cut at the end of the range. Predict closer to the runs."
        )
        filled = np.where(odd.ravel(), self._within(at).ravel(), quantiles)
        return filled, [Note("impossible_tail", "warning", text, {"share": share})]

    def _beyond(self, loss: Array) -> list[Note]:
        """Say where the metric is read at losses that its own runs did not have."""
        span = self.second.seen().get(self.through)
        if span is None or not loss.size:
            return []
        low, high = span
        slack = _BEYOND * (high - low)
        if loss.min() >= low - slack and loss.max() <= high + slack:
            return []
        text = (
            f"The metric was read at losses from {loss.min():.4g} to {loss.max():.4g}; its runs had {low:.4g} to "
            f"{high:.4g}. Beyond them its curve is an assumption: look whether the task scales so."
        )
        return [Note("metric_extrapolated", "warning", text, {"seen": [low, high]})]

    def _split(self, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Inputs of the first step, and those of the second alone."""
        rest = [key for key in self.second.inputs if key != self.through and key not in self.first.inputs]
        if self.through in inputs:
            raise ArgumentError(
                f"{arg(self.through, inputs[self.through])} is what the first step predicts",
                "nothing was predicted",
                f"Pass {', '.join(self.first.inputs)}, or ask the metric's own fit",
            )
        shared = {key: inputs[key] for key in rest if key in inputs}
        return {key: value for key, value in inputs.items() if key not in shared}, shared

    # -- as a Predictor ----------------------------------------------------------------------------------------

    @cached_property
    def law(self) -> type[Law] | None:
        """Both laws as one; None if a step has no law."""
        first, second = self.first.law, self.second.law
        return None if first is None or second is None else compose(first, second, self.through)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Inputs that a prediction needs."""
        more = (key for key in self.second.inputs if key != self.through and key not in self.first.inputs)
        return (*self.first.inputs, *more)

    @property
    def held_inputs(self) -> Mapping[str, float]:
        """Inputs fixed in one of the steps."""
        return {**self.second.held_inputs, **self.first.held_inputs}

    @property
    def params(self) -> pd.Series[float]:
        """Parameters of both steps, named ``loss_...`` and ``metric_...``."""
        import pandas as pd

        return pd.concat([self.first.params.add_prefix(FIRST), self.second.params.add_prefix(SECOND)])

    def draws(self, n: int = 500) -> pd.DataFrame:
        """Joint draws of the parameters of both steps, one row per draw; empty if a step has none."""
        import pandas as pd

        n = check_count("n", n)
        of_loss, of_metric = self.first.draws(n), self.second.draws(n)
        rows = min(len(of_loss), len(of_metric))
        mixed = np.random.default_rng(0).permutation(len(of_metric))[:rows]
        parts = [of_loss.iloc[:rows].add_prefix(FIRST), of_metric.iloc[mixed].add_prefix(SECOND)]
        found = pd.concat([part.reset_index(drop=True) for part in parts], axis=1)
        sources = [str(part.attrs.get("source", "none")) for part in (of_loss, of_metric)]
        found.attrs["source"] = " and ".join(dict.fromkeys(sources))
        return found

    @property
    def conventions(self) -> Mapping[str, Any]:
        """What N and C count, and the unit of the loss between the steps."""
        return self.first.conventions

    @property
    def notes(self) -> tuple[Note, ...]:
        """Notes of both steps, each under its name."""
        both = (("loss", self.first), ("metric", self.second))
        return tuple(note.about(name) for name, step in both for note in step.notes)

    @property
    def trusted(self) -> bool:
        """Whether both steps can be trusted."""
        return self.first.trusted and self.second.trusted

    @property
    def undetermined(self) -> tuple[str, ...]:
        """Parameters that the runs do not determine."""
        parts = ((FIRST, self.first.undetermined), (SECOND, self.second.undetermined))
        return tuple(prefix + name for prefix, names in parts for name in names)

    def correction(self, **inputs: ArrayLike) -> float:
        """Ratio of the prediction to the value of both laws at their parameters: 1 for all but forecasts."""
        return 1.0 if self.first.correction(**self._split(inputs)[0]) == 1.0 else super().correction(**inputs)

    def cite(self) -> str:
        """BibTeX of both steps, each entry once."""
        return cited_once([self.first.cite(), self.second.cite()])

    def to_dict(self) -> dict[str, Any]:
        """Both steps as a JSON-compatible dict."""
        saved = {"kind": KIND, "format": FORMAT, "scalefit": __version__, "through": self.through}
        return {**saved, "loss": self.first.to_dict(), "metric": self.second.to_dict()}

    def __repr__(self) -> str:
        return f"<Chain of {self.first!r} and {self.second!r}>"


@explained
def chain(loss_result: Any, metric_result: Any) -> Chain:
    """Chain a prediction of the loss with a law of a metric as a function of the loss.

    Parameters
    ----------
    loss_result : Predictor
        Predictor of the loss from N [parameters] and D [tokens] or other inputs: what :func:`scalefit.forecast`,
        :func:`scalefit.fit`, :func:`scalefit.average` or :func:`scalefit.published` returned. A forecast's intervals
        are calibrated on jumps; those of a fit are too narrow far beyond its runs.
    metric_result : Predictor
        Predictor of the metric, whose one input is that same loss: a fit of ``"downstream_error"``,
        ``"ladder_sigmoid"`` or of a law of your own. Its other inputs are taken from those of `loss_result`; hold the
        rest with ``at``.

    Returns
    -------
    Chain
        A :class:`Predictor` of the metric, with ``predict``, ``predict_interval``, ``draws`` and the rest.

    Raises
    ------
    ArgumentError
        One of them does not predict, the second reads no loss, or the ranges of their losses do not overlap.

    Notes
    -----
    Both losses must be of the same text with the same tokenizer, in the same unit. If the ranges of both are known and
    do not overlap, the chain is refused; ranges that overlap by chance cannot be detected.

    Examples
    --------
    >>> import scalefit as sf
    >>> loss, error = sf.published("chinchilla", "besiroglu2024"), sf.published("downstream_error", "ours_c4")
    >>> both = sf.chain(loss, error)
    >>> both.predict(N=1.4e9, D=2.8e10) == error.predict(val_loss=loss.predict(N=1.4e9, D=2.8e10))
    True
    """
    first, second = predictor_of(loss_result, "A chain"), predictor_of(metric_result, "A chain")
    if first.series or second.series:
        raise ArgumentError(
            f"A step has series of its own ({', '.join(first.series or second.series)})",
            "nothing was chained",
            "Fit the one that you mean",
        )
    if first.law is not None and first.law.target.sense >= 0:
        raise ArgumentError(
            f"{first.law.name} predicts {first.law.target.name}, which is not a loss",
            "nothing was chained",
            "Pass the prediction of the loss first, that of the metric second",
        )
    through = [name for name in second.inputs if name not in INPUTS and name not in first.inputs]
    if len(through) != 1:
        text = f"reads {', '.join(second.inputs) or 'nothing'}"
        raise ArgumentError(
            f"The metric's law {text}: one input must be the loss",
            "nothing was chained",
            "Fit a law such as 'downstream_error' or 'ladder_sigmoid' to the loss and the metric, and hold what "
            "else it reads with at()",
        )
    _refuse_losses_apart(first, second, through[0])
    return Chain(first, second, through[0])


def _refuse_losses_apart(first: Predictor, second: Predictor, through: str) -> None:
    """Refuse a metric that was fitted at losses which the first step's runs nowhere have."""
    span, runs = second.seen().get(through), first.runs()
    if span is None or not runs or not set(first.inputs) <= set(runs):
        return
    losses = np.asarray(first.predict(**{key: runs[key] for key in first.inputs}), float)
    if losses.min() > span[1] or losses.max() < span[0]:
        raise ArgumentError(
            f"The losses of the first step run from {losses.min():.4g} to {losses.max():.4g}, those that the metric "
            f"was fitted at from {span[0]:.4g} to {span[1]:.4g}: another text, tokenizer or unit?",
            "nothing was chained",
            "Use one loss for both",
        )


def _at(table: Array, share: float) -> Array:
    """Quantile (m,) of a table over normal scores."""
    from scipy.special import ndtri

    return np.array([np.interp(ndtri(share), SCORES, column) for column in table.T])


def _pooled(values: Array, weights: Array, shares: tuple[float, float]) -> list[float]:
    """Quantiles of weighted values; NaN where some are unknown."""
    flat, weight = values.ravel(), weights.ravel()
    if not np.isfinite(flat).all():
        return [np.nan, np.nan]
    order = np.argsort(flat)
    cumulated = np.cumsum(weight[order]) - 0.5 * weight[order]
    return [float(np.interp(share * weight.sum(), cumulated, flat[order])) for share in shares]


def _once(notes: list[Note]) -> list[Note]:
    return list({(note.code, note.message): note for note in notes}.values())
