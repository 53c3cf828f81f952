"""The parts of a downstream fit: curves of the tasks, judgements, the one-step comparison, intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit import _text
from scalefit._calls import explained
from scalefit._text import known, shortlist
from scalefit._typing import AnyArray, Array
from scalefit.downstream.curves import N_DRAWS, Curve
from scalefit.downstream.holdouts import Straight, compare_approaches, curves_of, held_out
from scalefit.downstream.judgement import LEVEL, Judgement, judge, says_nothing, too_few
from scalefit.downstream.models import AVERAGE, Models
from scalefit.downstream.quantiles import draws_of, even_scores, quantile_table
from scalefit.errors import ArgumentError, Note, arg
from scalefit.flops import SIZES, training_flops
from scalefit.predictor import Predictor

if TYPE_CHECKING:
    import pandas as pd

#: Times the largest compute up to which coverage was measured; beyond it intervals widen, by this much per decade.
_MEASURED, _WIDENING = 10.0, 2.0
#: A task that has risen less than this, as a share of the way from guessing to 1, has shown little of its curve: below
#: the losses seen, by this much of the lowest, the better end is further off in the same ratio (docs/downstream.md).
_BEGUN, _BELOW = 0.15, 0.03
_SHRUNK = 0.5  # of the correlation of two tasks' residuals, the share that is believed


@explained
@dataclass(frozen=True, eq=False)
class TaskFits:
    """Fits of every task, computed on first use; :class:`scalefit.DownstreamResult` adds the public methods.

    Attributes
    ----------
    first : Predictor
        Of the loss.
    models : Models
        The table: losses, metrics, guessing rates.
    """

    first: Predictor
    models: Models

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks, their average first where there are several."""
        return self.models.tasks

    @property
    def lead(self) -> str:
        """The task that is predicted by default: the average, or the only task."""
        return self.tasks[0]

    @cached_property
    def curves(self) -> dict[str, Curve]:
        """Curve of each task in the loss, for those with enough models."""
        return curves_of(self.models.loss, self.models)

    @cached_property
    def scaling(self) -> dict[str, Judgement]:
        """Whether each task is a curve in the loss, even if that curve is not known beyond the models."""
        models, found = self.models, {}
        held = {name: held_out(models.loss, metric) for name, metric in models.shares.items()}
        inner = curves_of(models.loss, models, {name: ~mask for name, mask in held.items()})
        for name, metric in models.shares.items():
            why = too_few(metric, models.guessing[name] is not None)
            if why:
                found[name] = Judgement(False, why, np.nan, np.nan)
                continue
            there = np.isfinite(metric)
            mine = held[name][there]
            found[name] = judge(models.loss[there], metric[there], self.curves[name], mine, inner.get(name))
        return {name: found[name] for name in self.tasks}

    @cached_property
    def judgements(self) -> dict[str, Judgement]:
        """Whether each task can be predicted: at ten times the compute or, without N and D, at the lowest loss."""
        inputs = self.ahead()
        if inputs:
            loss, between, _ = self._losses(inputs)
            jump, where = self._jump(inputs), f"at {_MEASURED:g} times their compute"
        else:
            between = np.array([self.models.loss.min()])
            loss, jump, where = np.broadcast_to(between, (N_DRAWS, 1)), 1.0, "at their lowest loss"
        found = {}
        for name, judged in self.scaling.items():
            why = self._why_not(name, loss, between, jump, where)
            found[name] = replace(judged, predictable=not why, reason=why)
        return found

    def ahead(self, ratio: float = _MEASURED) -> dict[str, float]:
        """`ratio` times the compute of the most expensive model, its N and D both raised; empty where that has none."""
        models = self.models
        if models.C is None or set(self.first.inputs) != set(SIZES):
            return {}
        largest = int(np.argmax(models.C))
        return {key: float(models.inputs[key][largest]) * ratio**0.5 for key in SIZES}

    @property
    def predictable(self) -> tuple[str, ...]:
        """Tasks that can be predicted."""
        return tuple(name for name, judged in self.judgements.items() if judged.predictable)

    @cached_property
    def approaches(self) -> pd.DataFrame:
        """Errors of two steps and of one step, on the third of the models with the most compute, from the others alone.

        Returns
        -------
        DataFrame
            Index ``task``: mean absolute error of ``two_step`` (through the loss), ``one_step`` (directly from N and D)
            and ``flat`` (the best of the smaller models), in the metric's unit. Empty if there are too few runs.
        """
        import pandas as pd

        found = pd.DataFrame.from_dict(compare_approaches(self.models), orient="index")
        found = found.reindex(columns=["two_step", "one_step", "flat"])
        return found.rename_axis("task")

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per task.

        Returns
        -------
        DataFrame
            Index ``task``. ``predictable`` and, if not, ``reason``; ``n_models``; ``best``, the metric at the
            lowest loss seen; ``chance`` and whether it is ``chance_known``; weights of the three forms
            (``p_exponential``, ``p_sigmoid``, ``p_flat``); ``gain``, ``steepness`` [per unit of loss] and ``place``
            (loss at half of a sigmoid's gain) of the typical curve; ``scatter`` about it; ``risen``, how far the best
            models are on the way from guessing to 1; ``explained``, the share of variance; ``skill`` on the models of
            lowest loss; errors of ``two_step``, ``one_step`` and ``flat``.
        """
        import pandas as pd

        models, records = self.models, []
        unit = abs(models.span[1] - models.span[0])
        for name, judged in self.judgements.items():
            metric, rate = models.shares[name], models.guessing[name]
            there = np.isfinite(metric)
            record: dict[str, Any] = {"task": name, "predictable": judged.predictable, "reason": judged.reason}
            record["n_models"] = int(there.sum())
            best = metric[there][np.argmin(models.loss[there])] if there.any() else np.nan
            record["best"] = float(models.to_metric(np.asarray(best)))
            curve = self.curves.get(name)
            if curve is not None:
                typical = curve.typical
                record |= {"chance": float(models.to_metric(np.asarray(curve.base))), "chance_known": rate is not None}
                record |= {f"p_{form}": curve.weights[form] for form in ("exponential", "sigmoid", "flat")}
                record |= {"gain": unit * float(curve.gain[typical]), "steepness": float(curve.steep[typical])}
                record["place"] = float(curve.place[typical]) if curve.form[typical] == "sigmoid" else np.nan
                record["scatter"] = unit * float(np.median(curve.scatter))
                record["risen"] = curve.risen
            record |= {"explained": judged.explained, "skill": judged.skill}
            records.append(record)
        frame = pd.DataFrame(records).set_index("task")
        return frame.join(self.approaches)

    def _shared(self, names: list[str]) -> Array:
        """Correlation (t, t) of the tasks' scatter about their curves, shrunk."""
        residuals = [self.models.shares[name] - self.curves[name].median(self.models.loss) for name in names]
        table = np.array(residuals).reshape(len(names), -1)
        table = np.where(np.isfinite(table), table, 0.0)
        size = np.sqrt((table**2).sum(axis=1, keepdims=True))
        table = table / np.maximum(size, 1e-300)
        return np.asarray(_SHRUNK * table @ table.T + (1 - _SHRUNK + 1e-9) * np.eye(len(names)))

    def _known(
        self, name: str, loss: Array, between: Array, jump: Array | float, curve: Curve | None = None
    ) -> AnyArray:
        """Where (m,) the interval of a task says more than that it lies between the best model and perfect."""
        curve = curve or self.curves.get(name)
        if curve is None or not self.scaling[name].predictable:
            return np.zeros(len(between), bool)
        _, one, other = self._ends(name, loss, between, LEVEL, jump, curve)
        lower, upper = np.sort([self.models.to_share(one), self.models.to_share(other)], axis=0)
        return ~says_nothing(lower, upper, curve.best, curve.base)

    def _why_not(
        self, name: str, loss: Array, between: Array, jump: Array | float, where: str, curve: Curve | None = None
    ) -> str:
        """Why a task is not known at the first point; empty where it is."""
        if not self.scaling[name].predictable or self._known(name, loss, between, jump, curve)[0]:
            return self.scaling[name].reason
        _, low, high = self._ends(name, loss, between, LEVEL, jump, curve)
        ends = f"{float(low[0]):.3g} to {float(high[0]):.3g}"
        n = int(np.isfinite(self.models.shares[name]).sum())
        return f"not determined by these {n} models: {where} its {_text.percent(LEVEL)} interval is {ends}"

    def _ends(
        self, name: str, loss: Array, between: Array, level: float, jump: Array | float, curve: Curve | None = None
    ) -> tuple[Array, Array, Array]:
        """Median and ends (m,) of a task from draws of the loss (d, m), in the metric's unit."""
        curve = curve or self.curves.get(name)
        low, high = (np.full(len(between), end) for end in self.models.span)
        if curve is None:
            return np.full(len(between), np.nan), low, high
        middle = curve.median(between)
        if not self.scaling[name].predictable:
            return self.models.to_metric(middle), low, high
        value, spread = curve.at(loss)
        value = value + spread * even_scores(N_DRAWS, 1)[:, None]
        tail = (1 - level) / 2
        ends = widened(np.quantile(value, [tail, 1 - tail], axis=0), middle, jump, self._begun(name, between, curve))
        low, high = np.sort(self.models.to_metric(ends), axis=0)
        known = np.isfinite(loss).all(axis=0)
        return self.models.to_metric(middle), np.where(known, low, np.nan), np.where(known, high, np.nan)

    def _losses(self, inputs: Mapping[str, Any]) -> tuple[Array, Array, list[Note]]:
        """Draws (d, m) of the loss at the inputs, the middle (m,), and what the first step says of them."""
        table, notes = quantile_table(self.first, inputs)
        return draws_of(table, even_scores(N_DRAWS, 0)), table[len(table) // 2], notes

    @cached_property
    def _rival(self) -> Straight:
        return Straight(self.models)

    def _straight(self, inputs: Mapping[str, Any]) -> tuple[Array, Array, dict[str, Curve]]:
        if self.models.C is None or not set(SIZES) <= set(inputs):
            raise ArgumentError(
                f"{arg('steps', 1)} predicts directly from N and D, and one of them is missing",
                "nothing was predicted",
                "Give a table with N and D, and both here",
            )
        N, D = (np.atleast_1d(np.asarray(inputs[key], float)) for key in SIZES)
        x = self._rival.x(N, D)
        return np.broadcast_to(x, (N_DRAWS, len(x))), x, self._rival.curves

    def _jump(self, inputs: Mapping[str, Any]) -> Array | float:
        """Times the largest compute of the models (m,); 1 where that is not known."""
        C = self.models.C
        if C is None:
            return 1.0
        held = {**self.first.held_inputs, **inputs}
        if "C" in held:
            asked = np.asarray(held["C"], float)
        elif set(SIZES) <= set(held):
            asked = training_flops(held["N"], held["D"])
        else:
            return 1.0
        return np.maximum(np.ravel(asked / C.max()), 1e-300)

    def _begun(self, name: str, between: Array, curve: Curve) -> Array | float:
        """Times further (m,) that the better end is of a task that has only begun to rise; 1 for a mean of tasks."""
        if name == AVERAGE and len(self.models.metrics) > 1:
            return 1.0
        below = np.clip((curve.lowest / between - 1) / _BELOW, 0.0, 1.0)
        return np.asarray(1 + below * max(_BEGUN / max(curve.risen, 1e-3) - 1, 0.0))

    def _about(
        self, known: Mapping[str, AnyArray], between: Array, inputs: Mapping[str, Any], curves: Mapping[str, Curve]
    ) -> list[Note]:
        """What to know of a prediction of some tasks, and where each is known, beside why others have none."""
        found = []
        able = [name for name in known if self.scaling[name].predictable]
        if vague := [name for name in able if not known[name].all()]:
            text = (
                f"Not determined by these {len(self.models.loss)} models: {shortlist(vague)}. The interval there "
                "leaves nearly all open between the best of them and perfect. Evaluate larger models, or more of them."
            )
            found.append(Note("not_determined", "warning", text, {"tasks": vague}))
        begun = [name for name in able if name in curves and np.max(self._begun(name, between, curves[name])) > 1]
        if begun:
            sentence = shortlist(f"{name} {_text.percent(round(self.curves[name].risen, 2))}" for name in begun)
            text = (
                f"Only begun to rise (share of the way from guessing to 1): {sentence}. Such tasks may rise faster "
                "than any curve of these models, so the better end of their intervals was widened. Evaluate larger "
                "models."
            )
            found.append(Note("only_begun", "warning", text, {"tasks": begun}))
        jump = float(np.max(self._jump(inputs)))
        if jump > _MEASURED:
            text = (
                f"{jump:.3g} times the largest compute of these models: coverage was measured up to {_MEASURED:g} "
                "times, and intervals are widened beyond. Train something in between first."
            )
            found.append(Note("far_jump", "warning", text, {"ratio": jump}))
        return found

    def _named(self, name: Any) -> str:
        if name not in self.tasks:
            raise ArgumentError(
                f"{arg('task', name)} is not among the tasks",
                "nothing was predicted",
                known(name, self.tasks, 12),
            )
        return str(name)

    def _curve(self, task: str | None) -> Curve:
        name = self.lead if task is None else self._named(task)
        if name not in self.curves:
            raise ArgumentError(
                f"{name} has no curve ({self.judgements[name].reason})", "nothing was predicted", "Give more models"
            )
        return self.curves[name]


def widened(values: Array, middle: Array, jump: Array | float, better: Array | float) -> Array:
    """Shares (..., m) about the middle (m,), further from it the more the compute is beyond what was measured.

    Those above the middle are `better` times further still.
    """
    wider = 1 + _WIDENING * np.maximum(np.log10(jump / _MEASURED), 0)
    off = (values - middle) * wider
    return np.asarray(np.clip(middle + np.where(off > 0, off * better, off), 0, 1))
