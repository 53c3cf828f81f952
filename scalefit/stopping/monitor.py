"""A live run: what was logged, what it means, what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scalefit._arguments import check_level, check_number, check_numbers
from scalefit._calls import explained
from scalefit._digests import with_digest
from scalefit._files import write_whole
from scalefit._records import load_note, save_note
from scalefit._typing import Array, ArrayLike
from scalefit.errors import ArgumentError, Note, arg
from scalefit.plots.curves import MonitorFigure
from scalefit.schedules import Schedule
from scalefit.stopping.advice import Advice, Forecast, Reason
from scalefit.stopping.figures import monitor_figure
from scalefit.stopping.floors import best_loss_by_compute, law_floors, theory_floor
from scalefit.stopping.forecast import Forecaster, adam_rate
from scalefit.stopping.history import FinishedRun, History
from scalefit.stopping.logged import LoggedSeries
from scalefit.stopping.logged_run import LoggedRun
from scalefit.stopping.observation import Observation, observe
from scalefit.stopping.policy import decide, forecaster_for
from scalefit.stopping.posterior import CurveSummary, summarize
from scalefit.stopping.priors import shipped_priors
from scalefit.stopping.regression import EndRegression
from scalefit.stopping.run_plan import RunPlan, check_plan, check_schedule
from scalefit.stopping.schema import (
    MonitorState,
    finished_from,
    history_entries,
    read_state,
    saved_curves,
    saved_runs,
)


@explained
class Monitor(LoggedRun):
    """Follows one run and advises on it.

    Parameters
    ----------
    plan : RunPlan
        The plan of the run.
    history : sequence, optional
        Earlier runs: finished `Monitor` objects, or pairs of a `RunPlan` and a table with the columns ``step`` and
        ``val_loss``. Three or more of the same recipe sharpen the forecast; runs of another `recipe` or
        vocabulary are set aside with a note.
    law : FitResult, optional
        A fitted scaling law: its E and its value at the plan are shown, and the rest of the run is compared
        with the best other use of the same compute.
    min_gain : float, optional
        Smallest gain that is worth continuing for [nat/token]. Without it the monitor never advises to stop or
        cool down because the gain is small.
    min_saving : float
        Share of the plan that an early cooldown must save to be advised [-].

    Attributes
    ----------
    notes : list of Note
        History runs that were set aside, plans that were changed.

    Examples
    --------
    >>> from scalefit.stopping.run_plan import RunPlan
    >>> from scalefit.schedules import Schedule
    >>> monitor = Monitor(RunPlan(schedule=Schedule.cosine(10_000, warmup=200)))
    >>> for step in range(500, 5001, 250):
    ...     monitor.update(step=step, val_loss=2.9 + 12 * step**-0.45 - 0.1 * step / 10_000)
    >>> advice = monitor.advise()
    >>> advice.action, advice.final.lower < advice.final.loss < advice.final.upper
    ('continue', True)
    """

    def __init__(
        self,
        plan: RunPlan,
        history: Sequence[Any] | None = (),
        law: Any = None,
        *,
        min_gain: float | None = None,
        min_saving: float = 0.2,
    ) -> None:
        check_plan(plan)
        if min_gain is not None and not check_number("min_gain", min_gain) >= 0:
            raise ArgumentError(
                f"{arg('min_gain', min_gain)} is not a gain in nat/token", "no monitor was made", "Give zero or more"
            )
        if not 0 <= check_number("min_saving", min_saving) < 1:
            raise ArgumentError(
                f"{arg('min_saving', min_saving)} is not a share", "no monitor was made", "Give a number in [0, 1)"
            )
        self.plan = plan
        self.min_gain, self.min_saving = min_gain, min_saving
        self.notes: list[Note] = []
        super().__init__()
        self._history_runs = history_entries(() if history is None else history, plan, self.notes)
        self._law = law
        self._law_floors: dict[str, float] = {}
        self._frontier: tuple[list[float], list[float]] = ([], [])
        self._learn()

    def __repr__(self) -> str:
        return f"{self.advise()}\nMonitor of a run of {self.plan.steps:g} steps"

    def _learn(self) -> None:
        """Work out what depends on plan, law and history alone."""
        self._theory = theory_floor(self.plan)
        if self._law is not None:
            self._law_floors, self._frontier = (
                law_floors(self._law, self.plan),
                best_loss_by_compute(self._law, self.plan),
            )
        self._history = History.learn(self._history_runs, shipped_priors(), self.plan.schedule, self.plan.steps)

    # -- what changes -----------------------------------------------------------------------------
    def replan(self, plan: RunPlan) -> None:
        """Follow another plan from now on; past learning rates stay as they were.

        A note is kept. Use this when a run is extended, cut, or cooled down early.
        """
        check_plan(plan)
        now = max(self._last_step, 0.0)
        past, ahead = self.plan.schedule, plan.schedule
        if past != ahead and now > 0:
            plan = plan.model_copy(update={"schedule": past.spliced(ahead, now), "total_steps": plan.steps})
        text = f"The plan changed at step {now:g}: {self.plan.steps:g} steps before, {plan.steps:g} now."
        if self._law is None and self._law_floors:  # loaded from a file, which keeps what the law gave, not the law
            self._law_floors.pop("law_at_plan", None)
            self._frontier = ([], [])
            text += " What the law says of it is not known: make a monitor with law= and restore() the state."
        self.notes.append(Note("plan_changed", "info", text, {"step": now, "steps": plan.steps}))
        self.plan = plan
        self._learn()

    # -- what comes out -------------------------------------------------------------------------------
    def advise(self, level: float = 0.9) -> Advice:
        """Say what the curve looks like, where it will end and what to do.

        Parameters
        ----------
        level : float
            Probability of the forecast's interval.

        Returns
        -------
        Advice
        """
        level = check_level(level)
        view = self.view()
        seen = self._summary(view)
        theory, theory_reasons = self._theory
        floors = {**self._law_floors, **theory} if self.plan.loss_unit == "nat/token" else {}
        remarks = [*theory_reasons, *(Reason(note.code, note.message) for note in self.notes)]
        return decide(
            view,
            seen,
            self._history,
            level=level,
            min_gain=self.min_gain,
            min_saving=self.min_saving,
            floors=floors,
            frontier=self._frontier,
            logged_rate=self.curve("lr"),
            remarks=remarks,
        )

    def what_if(self, schedule: Schedule, level: float = 0.9) -> Forecast | None:
        """Forecast the end of another schedule from here on.

        Parameters
        ----------
        schedule : Schedule
            The schedule; only its future matters, since the past is the run's own.
        level : float
            Probability of the interval.

        Returns
        -------
        Forecast or None
            None while there is no forecast yet.

        Raises
        ------
        ArgumentError
            The schedule ends before the latest step.
        """
        level = check_level(level)
        if (asked := self._branch(schedule)) is None:
            return None
        forecaster, joined = asked
        if isinstance(forecaster, EndRegression):
            return forecaster.at_end(schedule.total, level, 1.0 - float(joined.lr(forecaster.step_now)))
        return forecaster.at_end(joined, schedule.total, level)

    def path(
        self, schedule: Schedule, steps: ArrayLike, level: float = 0.9
    ) -> tuple[Array, Array, Array, Array] | None:
        """Forecast along the way.

        Parameters
        ----------
        schedule : Schedule
            As in `what_if`.
        steps : array_like, shape (n,)
            Steps to forecast [steps]; past ones are left out.
        level : float
            Probability of the band.

        Returns
        -------
        steps, loss, lower, upper : ndarray, shape (k,)
            Steps [steps] and losses [nat/token]; None instead while there is no forecast yet.

        Raises
        ------
        ArgumentError
            As `what_if`, or steps that are not numbers.
        """
        level, at = check_level(level), check_numbers("steps", steps)
        if (asked := self._branch(schedule)) is None:
            return None
        forecaster, joined = asked
        at = at[at >= forecaster.step_now]
        if isinstance(forecaster, EndRegression):
            return (at, *forecaster.path(at, level))
        return (at, *forecaster.path(joined, at, level))

    def _branch(self, schedule: Schedule) -> tuple[Forecaster | EndRegression, Schedule] | None:
        """What forecasts another schedule, and that schedule behind the run's own past."""
        check_schedule("schedule", schedule)
        view = self.view()
        seen = self._summary(view)
        forecaster, _ = forecaster_for(view, seen, self._history, self.curve("lr"))
        if forecaster is None:
            return None
        now = forecaster.step_now
        if schedule.total < now:
            raise ArgumentError(
                f"The schedule ends at step {schedule.total:g}, before the latest one, {now:g}",
                "nothing was forecast",
                "Give a schedule that goes on from there",
            )
        return forecaster, self.plan.schedule.spliced(schedule, now)

    def _summary(self, view: Observation) -> CurveSummary | None:
        """What the forecast needs of the curve; earlier runs count no epochs, so that with them this one does not."""
        repeats = None if self._history.runs else self.plan.epoch_steps
        return summarize(
            self.plan.schedule, view.steps, view.loss, sem=view.sem, counts=view.counts, epoch_steps=repeats
        )

    def should_prune(self, threshold: float | None = None, level: float = 0.9) -> bool:
        """Whether to give this trial up, in the manner of Optuna's ``trial.should_prune()``.

        Parameters
        ----------
        threshold : float, optional
            Loss to beat [nat/token], such as that of the best finished trial: prune when even the interval's lower
            end at the planned end is above it.
        level : float
            Probability of the interval.

        Raises
        ------
        ArgumentError
            A threshold that is not a number, or a level outside (0, 1).
        """
        bar = None if threshold is None else check_number("threshold", threshold)
        if bar is not None and np.isnan(bar):
            raise ArgumentError(
                f"{arg('threshold', threshold)} is not a loss", "no trial was judged", "Leave it out for now"
            )
        advice = self.advise(level)
        if advice.action in ("stop", "rollback"):
            return True
        return bar is not None and advice.final is not None and advice.final.lower > bar

    def figure(self, what_if: Mapping[str, Schedule] | None = None, level: float = 0.9) -> MonitorFigure:
        """Return what `plot` draws."""

        def path(schedule: Schedule, steps: Array) -> tuple[Array, Array, Array, Array] | None:
            return self.path(schedule, steps, level)

        curve = self.curve("val" if len(self._series["val"]) else "train")
        return monitor_figure(self.plan, self.advise(level), curve, path, what_if, level)

    def plot(self, ax: Any = None, what_if: Mapping[str, Schedule] | None = None, level: float = 0.9) -> Any:
        """Draw the curve, the forecast's band, the floors and what-if branches; returns the axes."""
        from scalefit.plots.curves import draw_monitor

        return draw_monitor(self.figure(what_if, level), ax)

    def view(self) -> Observation:
        """Return the data that the rules read."""
        return observe(self.plan, self._series, self._last_step, self._nonfinite)

    # -- what is kept ---------------------------------------------------------------------------------
    def finished(self) -> FinishedRun:
        """Return this run as history for another.

        Raises
        ------
        DataError
            Fewer than four losses, or a run that has not reached 90 % of its plan.
        """
        steps, loss, _ = self._series["val" if len(self._series["val"]) else "train"].arrays()
        return FinishedRun.from_curve(self.plan.schedule, steps, loss, self.plan.steps, adam_rate(self.view().plan))

    def state(self) -> MonitorState:
        """Everything needed to continue later, as a pydantic model."""
        return MonitorState(
            plan=self.plan,
            min_gain=self.min_gain,
            min_saving=self.min_saving,
            series=saved_curves(self._series),
            last_step=self._last_step,
            nonfinite=self._nonfinite,
            history=saved_runs(self._history_runs),
            notes=[save_note(note) for note in self.notes],
            law_floors=self._law_floors,
            frontier_compute=self._frontier[0],
            frontier_loss=self._frontier[1],
        )

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the state as JSON, and write it to `path` if given."""
        text = json.dumps(with_digest(json.loads(self.state().model_dump_json())), separators=(",", ":"))
        if path is not None:
            write_whole(path, text)
        return text

    def restore(self, state: MonitorState) -> None:
        """Continue the curve of `state`; plan, history and settings given in code stay.

        A plan in the state that differs from this one leaves a note.
        """
        if not isinstance(state, MonitorState):
            raise ArgumentError(
                f"A {type(state).__name__} is not a state", "none was taken", "Pass what state() returned"
            )
        for name, saved in state.series.items():
            self._series[name] = LoggedSeries.from_state(**saved.model_dump())
        self._last_step = state.last_step
        self._nonfinite = state.nonfinite
        if state.plan != self.plan:
            self.notes.append(
                Note(
                    "plan_differs",
                    "warning",
                    "The saved state was made under another plan; the plan given in code is used. "
                    "Use replan() if the run itself changed course.",
                )
            )

    @classmethod
    def from_state(cls, state: MonitorState) -> Monitor:
        """Return the monitor that `state` came from."""
        monitor = cls(state.plan, min_gain=state.min_gain, min_saving=state.min_saving)
        monitor.restore(state)
        monitor.notes = [load_note(note) for note in state.notes]
        monitor._history_runs = [finished_from(entry) for entry in state.history]
        monitor._learn()
        monitor._law_floors = dict(state.law_floors)
        monitor._frontier = (list(state.frontier_compute), list(state.frontier_loss))
        return monitor


@explained
def load_monitor(source: str | Path) -> Monitor:
    """Return the monitor that `Monitor.to_json` wrote.

    Parameters
    ----------
    source : str or Path
        A file, or the text that ``to_json()`` returned.

    Raises
    ------
    DataError
        Not a monitor's state, or one of a later version.
    """
    return Monitor.from_state(read_state(source))
