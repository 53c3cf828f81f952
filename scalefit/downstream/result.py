"""The result of `fit_downstream`: metrics of larger models with intervals, and which tasks can be predicted."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._arguments import check_count, check_level
from scalefit._calls import explained
from scalefit._typing import Array, ArrayLike
from scalefit.downstream import words
from scalefit.downstream.composed import FIRST, SECOND, compose
from scalefit.downstream.curve_law import curve_law, parameters_of
from scalefit.downstream.curves import N_DRAWS
from scalefit.downstream.tasks import TaskFits, widened
from scalefit.downstream.two_step import TwoStep
from scalefit.errors import ArgumentError, Note, ScalefitWarning, arg
from scalefit.fitting.citations import cited_once
from scalefit.laws._base import Law
from scalefit.laws._declarations import Target

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

#: Level of the intervals that are printed.
_LEVEL = 0.9


@explained
@dataclass(frozen=True, eq=False)
class DownstreamResult(TaskFits, TwoStep):
    """Metrics on tasks from N and D, predicted from the loss. Made by :func:`scalefit.fit_downstream`.

    A :class:`scalefit.Predictor` of the average over tasks (or of the one task); ``predict_tasks`` gives every task.
    ``table``, ``judgements``, ``predictable``, ``approaches``, ``tasks`` and ``curves`` are those of
    :class:`scalefit.downstream.tasks.TaskFits`.
    """

    # -- predictions -------------------------------------------------------------------------------------------

    def predict(self, *, task: str | None = None, **inputs: ArrayLike) -> float | Array:
        """The metric at the given inputs: a float for scalars, else an array like the input.

        Parameters
        ----------
        task : str, optional
            A task; the average by default.
        **inputs : array_like
            N [parameters] and D [tokens], or the other inputs of the first step.

        Returns
        -------
        float or ndarray
            The median curve at the predicted loss. Tasks that cannot be predicted get a number too, but their interval
            is the whole range.
        """
        curve = self._curve(task)
        loss = np.asarray(self.first.predict(**inputs), float)
        value = self.models.to_metric(curve.median(loss.ravel()))
        return float(value[0]) if loss.ndim == 0 else value.reshape(loss.shape)

    def predict_interval(self, *, level: float = _LEVEL, task: str | None = None, **inputs: ArrayLike) -> pd.DataFrame:
        """Interval for the metric of a new model.

        Parameters
        ----------
        level : float
            Coverage wanted, between 0 and 1.
        task : str, optional
            A task; the average by default.
        **inputs : array_like
            N [parameters] and D [tokens], or the other inputs of the first step.

        Returns
        -------
        DataFrame
            ``loss`` (what is predicted: the metric, under the name that every predictor uses), ``lower``, ``upper``;
            ``known``, False if the task cannot be predicted (the interval is then the whole range) or if the interval
            says nothing, as far beyond a few models; ``between``, the loss behind the prediction. Notes are in
            ``frame.attrs["notes"]``.
        """
        import pandas as pd

        level = check_level(level)
        self._curve(task)
        loss, between, notes = self._losses(inputs)
        name = task or self.lead
        jump = self._jump(inputs)
        value, lower, upper = self._ends(name, loss, between, level, jump)
        known = self._known(name, loss, between, jump)
        out = pd.DataFrame({"loss": value, "lower": lower, "upper": upper, "known": known, "between": between})
        judged = self.scaling[name]
        if not judged.predictable:
            text = f"{name} is not predictable from these models ({judged.reason}): its interval is the whole range."
            notes = [*notes, Note("not_predictable", "warning", text, {"task": name})]
        out.attrs["notes"] = [*notes, *self._about({name: known}, between, inputs, self.curves)]
        return out

    def predict_tasks(
        self, *, level: float = _LEVEL, steps: int = 2, tasks: Any = None, **inputs: ArrayLike
    ) -> pd.DataFrame:
        """Predict every task at one point.

        Parameters
        ----------
        level : float
            Coverage wanted.
        steps : {2, 1}
            From the loss, or with the one-step approach directly from N and D.
        tasks : sequence of str, optional
            Some of the tasks.
        **inputs : float
            One N [parameters] and D [tokens].

        Returns
        -------
        DataFrame
            Index ``task``: ``value``, ``lower``, ``upper``, ``known`` (as in ``predict_interval``) and ``reason``,
            in the order of the table. Notes are in ``frame.attrs["notes"]``.
        """
        import pandas as pd

        level = check_level(level)
        asked = self.tasks if tasks is None else tuple([tasks] if isinstance(tasks, str) else tasks)
        for name in asked:
            self._named(name)
        if steps not in (1, 2):
            raise ArgumentError(
                f"{arg('steps', steps)} is neither 2 nor 1", "nothing was predicted", "Pass one of them"
            )
        if steps == 1:
            loss, between, curves = self._straight(inputs)
            notes: list[Note] = []
        else:
            loss, between, notes = self._losses(inputs)
            curves = self.curves
        if len(between) != 1:
            raise ArgumentError(
                f"{len(between)} points were given",
                "nothing was predicted",
                f"Give one N and one D, or ask predict_interval({arg('task', ...)})",
            )
        records, jump = [], self._jump(inputs)
        for name in asked:
            ends = self._ends(name, loss, between, level, jump, curves.get(name))
            value, lower, upper = (float(end[0]) for end in ends)
            why = self._why_not(name, loss, between, jump, "at this N and D", curves.get(name))
            record = {"task": name, "value": value, "lower": lower, "upper": upper}
            records.append(record | {"known": not why, "reason": why})
        found = pd.DataFrame(records).set_index("task")
        known = {name: np.array([there]) for name, there in zip(asked, found["known"], strict=True)}
        found.attrs["notes"] = [*notes, *self._about(known, between, inputs, curves)]
        return found

    def at_loss(self, loss: ArrayLike, *, level: float = _LEVEL, task: str | None = None) -> pd.DataFrame:
        """The metric of a model whose loss is known: columns ``value``, ``lower``, ``upper``, ``known``."""
        import pandas as pd

        self._curve(task)
        between = np.atleast_1d(np.asarray(loss, float)).ravel()
        if not (np.isfinite(between) & (between > 0)).all():
            raise ArgumentError(f"{arg('loss', loss)} is not positive and finite", "nothing was predicted", "Check it")
        name = task or self.lead
        rows = np.broadcast_to(between, (N_DRAWS, len(between)))
        value, lower, upper = self._ends(name, rows, between, check_level(level), 1.0)
        known = self._known(name, rows, between, 1.0)
        return pd.DataFrame({"value": value, "lower": lower, "upper": upper, "known": known})

    def sample(self, n: int = 500, *, seed: int = 0, **inputs: ArrayLike) -> pd.DataFrame:
        """Return joint draws of every task for one new model.

        Each draw has one loss for all tasks. Curves and scatter of the tasks are correlated as their residuals are,
        with half of the observed correlation, because there are fewer models than pairs of tasks.

        Parameters
        ----------
        n : int
            Number of draws, at most 2,000.
        seed : int
            Seed of the scatter.
        **inputs : float
            One N [parameters] and D [tokens].

        Returns
        -------
        DataFrame
            One row per draw, one column per task; NaN for tasks that are not a curve in the loss. Draws spread as
            intervals do, beyond ten times the compute of the models too. Notes are in ``frame.attrs["notes"]``.
        """
        import pandas as pd

        n = min(check_count("n", n), N_DRAWS)
        loss, between, notes = self._losses(inputs)
        if len(between) != 1:
            raise ArgumentError(f"{len(between)} points were given", "nothing was drawn", "Give one N and one D")
        names = [name for name in self.tasks if self.scaling[name].predictable]
        rng = np.random.default_rng(check_count("seed", seed, least=0))
        factor = np.linalg.cholesky(self._shared(names)).T
        scores, places = (rng.standard_normal((N_DRAWS, len(names))) @ factor for _ in "ab")
        columns = {name: np.full(n, np.nan) for name in self.tasks}
        for i, name in enumerate(names):
            curve = self.curves[name]
            # Curves are drawn a task at a time: those that run high go with those of other tasks that do.
            pairs = np.argsort(curve.at(between)[0][:, 0])[np.argsort(np.argsort(places[:, i]))]
            mixed = np.empty_like(loss)
            mixed[pairs] = loss
            value, spread = (part[pairs, 0] for part in curve.at(mixed))
            drawn = widened(
                value + spread * scores[:, i],
                curve.median(between),
                self._jump(inputs),
                self._begun(name, between, curve),
            )
            columns[name] = self.models.to_metric(drawn[:n])
        out = pd.DataFrame(columns)
        known = {name: self._known(name, loss, between, self._jump(inputs)) for name in names}
        out.attrs["notes"] = [*notes, *self._about(known, between, inputs, self.curves)]
        return out

    # -- as a Predictor ----------------------------------------------------------------------------------------

    @cached_property
    def law(self) -> type[Law] | None:
        """The law of the loss and the typical curve of the lead task, as one; None if the first step has no law."""
        if self.first.law is None:
            return None
        second = curve_law(self.models.higher, self.models.span)
        return compose(self.first.law, second, "val_loss")

    @property
    def target(self) -> Target:
        """The lead task."""
        return replace(curve_law(self.models.higher, self.models.span).target, name=self.lead)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Inputs that a prediction needs."""
        return tuple(self.first.inputs)

    @property
    def held_inputs(self) -> Mapping[str, float]:
        """Inputs fixed in the first step."""
        return self.first.held_inputs

    @property
    def params(self) -> pd.Series[float]:
        """Parameters of the first step (``loss_...``) and of the lead task's typical curve (``metric_...``)."""
        import pandas as pd

        curve = self._curve(None)
        own = pd.Series({k: float(v[curve.typical]) for k, v in parameters_of(curve).items()}).add_prefix(SECOND)
        return pd.concat([self.first.params.add_prefix(FIRST), own])

    def draws(self, n: int = 500) -> pd.DataFrame:
        """Joint draws of the parameters of both steps, for the lead task; empty if the first step has none."""
        import pandas as pd

        n = check_count("n", n)
        first = self.first.draws(n)
        rows = min(len(first), N_DRAWS)
        curve = pd.DataFrame({key: value[:rows] for key, value in parameters_of(self._curve(None)).items()})
        parts = [first.iloc[:rows].reset_index(drop=True).add_prefix(FIRST), curve.add_prefix(SECOND)]
        found = pd.concat(parts, axis=1)
        found.attrs["source"] = f"{first.attrs.get('source', 'none')} and posterior"
        return found

    @property
    def conventions(self) -> Mapping[str, Any]:
        """What N and C count, and the unit of the loss."""
        return dict(self.models.conventions)

    @cached_property
    def notes(self) -> tuple[Note, ...]:
        """What to know before you use the numbers."""
        found = [*self.models.notes, *words.notes_of(self)]
        return tuple({(note.code, note.message): note for note in found}.values())

    @property
    def trusted(self) -> bool:
        """Whether the first step can be trusted and the lead task can be predicted."""
        return self.first.trusted and self.judgements[self.lead].predictable

    @property
    def undetermined(self) -> tuple[str, ...]:
        """Parameters that the runs do not determine."""
        return tuple(FIRST + name for name in self.first.undetermined)

    # -- what to make of it ------------------------------------------------------------------------------------

    def cite(self) -> str:
        """BibTeX of the first step and of the two forms of curves."""
        from scalefit.laws import get

        return cited_once([self.first.cite(), *(get(name).bibtex for name in ("downstream_error", "ladder_sigmoid"))])

    def plot(self, task: str | None = None, *, level: float = _LEVEL, ax: Axes | None = None) -> Axes:
        """Draw a task (the lead task by default) against the loss, with its band."""
        from scalefit.downstream.figures import downstream_data
        from scalefit.plots.downstream import draw_downstream

        self._curve(task)
        return draw_downstream(downstream_data(self, task or self.lead, check_level(level)), ax)

    def to_dict(self) -> dict[str, Any]:
        """First step and table as a JSON-compatible dict, with the findings for each task."""
        from scalefit.downstream.schema import document

        return document(self.first.to_dict(), self.models, self.table, self.notes, self.trusted)

    def __str__(self) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ScalefitWarning)
            return words.text(self)

    def __repr__(self) -> str:
        return f"<DownstreamResult of {len(self.models.metrics)} tasks, {len(self.models.loss)} models>"
