"""Advice on a live run: schedules, curve laws, the forecast of the end, and rules with their evidence."""

from scalefit.schedules import Schedule
from scalefit.stopping.advice import Advice, Forecast, Reason
from scalefit.stopping.monitor import Monitor, load_monitor
from scalefit.stopping.run_plan import RunPlan

__all__ = ["Advice", "Forecast", "Monitor", "Reason", "RunPlan", "Schedule", "load_monitor"]
