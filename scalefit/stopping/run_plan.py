"""The plan of a run: its schedule and, if known, its size, data and recipe."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from scalefit._records import Quantity, Record
from scalefit.errors import ArgumentError, arg
from scalefit.schedules import Schedule

FLOP_PER_PARAM_TOKEN = 6  # forward and backward pass, C = 6 N D


def _known(value: Any) -> Any:
    """Read zero and NaN, as tables and model cards write them, as unknown."""
    return None if isinstance(value, (int, float)) and (value == 0 or value != value) else value


Epochs = Annotated[float | None, BeforeValidator(_known)]


class RunPlan(Record):
    """The plan of one training run; only the schedule is required.

    Parameters
    ----------
    schedule : Schedule
        Learning rate over steps.
    total_steps : float or str, optional
        Planned length [steps]; the schedule's by default.
    total_tokens : float or str, optional
        Planned training tokens [tokens].
    tokens_per_step : float or str, optional
        Batch size [tokens]; from `total_tokens` by default.
    n_params : float or str, optional
        Parameters of the model [parameters], for compute and floors.
    n_layers, d_emb, T_max, vocab_size : int, optional
        Layers, width, context length [tokens], vocabulary, for the associative-memory floor.
    unique_tokens : float or str, optional
        Distinct training tokens [tokens]; they show whether data repeat.
    epochs : float, optional
        Planned passes over the training data [-]; from `unique_tokens` by default. Zero and NaN mean unknown.
    pretrained : bool, optional
        Whether the run starts from trained weights. By default the evaluations decide which forecast is made.
    optimizer : str, optional
        Name of the optimizer. Adam and AdamW have the narrowest band; without a name the forecast allows for a larger
        gain from annealing.
    weight_decay : float, optional
        Weight decay [-]; with the remaining learning rates it decides whether a late second descent is possible.
    peak_lr : float, optional
        Peak learning rate [1/step]; from the logged rates by default. Under Adam and AdamW it predicts most of what
        annealing will gain, and narrows the band.
    recipe : str, optional
        Name of the recipe; earlier runs of another one are not used as history.
    loss_unit : {"nat/token", "bit/byte", "other"}
        Unit of the losses; floors are only compared in nat/token.

    Raises
    ------
    ArgumentError
        A value that is not allowed, or steps and tokens that contradict each other.

    Examples
    --------
    >>> plan = RunPlan(schedule=Schedule.cosine(20_000, warmup=500), total_tokens=10e9, n_params=124e6)
    >>> plan.steps, plan.batch_tokens, plan.flops(10_000)
    (20000.0, 500000.0, 3.72e+18)
    """

    schedule: Schedule
    total_steps: Quantity | None = Field(default=None, gt=0, allow_inf_nan=False)
    total_tokens: Quantity | None = Field(default=None, gt=0, allow_inf_nan=False)
    tokens_per_step: Quantity | None = Field(default=None, gt=0, allow_inf_nan=False)
    n_params: Quantity | None = Field(default=None, gt=0, allow_inf_nan=False)
    n_layers: int | None = Field(default=None, gt=0)
    d_emb: int | None = Field(default=None, gt=0)
    T_max: int | None = Field(default=None, gt=0)
    vocab_size: int | None = Field(default=None, gt=0)
    unique_tokens: Quantity | None = Field(default=None, gt=0, allow_inf_nan=False)
    epochs: Epochs = Field(default=None, gt=0, allow_inf_nan=False)
    pretrained: bool | None = None
    optimizer: str | None = None
    weight_decay: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    peak_lr: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    recipe: str | None = None
    loss_unit: Literal["nat/token", "bit/byte", "other"] = "nat/token"

    @model_validator(mode="after")
    def _consistent(self) -> RunPlan:
        if self.total_tokens and self.tokens_per_step:
            implied = self.total_tokens / self.tokens_per_step
            if abs(implied / self.steps - 1) > 0.02:
                raise ArgumentError(
                    f"total_tokens / tokens_per_step is {implied:g} steps but the plan has {self.steps:g}",
                    "no plan was made",
                    "Give two of the three, or correct one",
                )
        return self

    @property
    def steps(self) -> float:
        """Planned length [steps]."""
        return float(self.total_steps or self.schedule.total)

    @property
    def batch_tokens(self) -> float | None:
        """Tokens in a step [tokens], if known."""
        if self.tokens_per_step:
            return self.tokens_per_step
        return self.total_tokens / self.steps if self.total_tokens else None

    def flops(self, steps: float) -> float | None:
        """Compute of `steps` steps, 6 N D [FLOP], if size and batch are known."""
        if self.n_params is None or self.batch_tokens is None:
            return None
        return FLOP_PER_PARAM_TOKEN * self.n_params * self.batch_tokens * steps

    def epochs_at(self, step: float) -> float | None:
        """Passes over the training data by `step` [-], if known."""
        if self.epochs is not None:
            return self.epochs * step / self.steps
        if self.unique_tokens is None or self.batch_tokens is None:
            return None
        return self.batch_tokens * step / self.unique_tokens

    @property
    def epoch_steps(self) -> float | None:
        """Steps of one pass over the training data [steps], if known and the plan repeats them."""
        passes = self.epochs_at(self.steps)
        return self.steps / passes if passes is not None and passes > 1 else None

    def with_schedule(self, schedule: Schedule) -> RunPlan:
        """Return the same run under another schedule, as long as that lasts."""
        values: dict[str, Any] = {name: getattr(self, name) for name in type(self).model_fields}
        batch = self.batch_tokens
        values |= {"schedule": schedule, "total_steps": None, "total_tokens": None, "tokens_per_step": batch}
        if self.epochs is not None:
            values["epochs"] = self.epochs * schedule.total / self.steps
        return RunPlan(**values)


def check_plan(plan: Any, where: str = "plan") -> None:
    """Raise if the argument is not a plan."""
    if not isinstance(plan, RunPlan):
        raise ArgumentError(
            f"{where} is a {type(plan).__name__}",
            "nothing was done",
            f"Make one with scalefit.RunPlan({arg('schedule', ...)})",
        )


def check_schedule(argument: str, schedule: Any) -> None:
    """Refuse what is not a schedule; `argument` is the argument with it, as the call has it."""
    if not isinstance(schedule, Schedule):
        seen = f"{argument} is a {type(schedule).__name__}, not a Schedule"
        raise ArgumentError(seen, "none was used", "Make one with scalefit.Schedule")
