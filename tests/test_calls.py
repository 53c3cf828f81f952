"""Calls that Python refuses are answered with the argument to name, by every public function and result."""

import inspect
import pickle

import numpy as np
import pytest

import scalefit as sf
from scalefit._calls import explained
from scalefit.comparison.average import Average
from scalefit.errors import ArgumentError, CallError
from scalefit.laws import PublishedLaw
from scalefit.planning.result import Plan
from scalefit.predictor import Held

LAW = sf.published("chinchilla", "besiroglu2024")
N, D = (a.ravel() for a in np.meshgrid(np.geomspace(1e8, 1e9, 3), np.geomspace(2e9, 4e10, 3)))
TABLE = {"N": N, "D": D, "loss": LAW.predict(N=N, D=D)}


def monitor():
    return sf.Monitor(sf.RunPlan(schedule=sf.Schedule.cosine(1000)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sf.plan(LAW, 1e22), ["plan() takes only result by position", "Write plan(result, C=1e22), for one"]),
        (lambda: LAW.predict(1e9, 2e10), ["2 values came without a name", "Write predict(N=1e9, D=2e10)"]),
        (lambda: LAW.predict(1e9), ["1 value came without a name", "Write predict(N=1e9, D=...)"]),
        (lambda: LAW.predict({"N": 1e9, "D": 2e10}), ["Write predict(N=1e9, D=2e10)"]),
        (lambda: LAW.predict_interval(1e9, 2e10), ["Write predict_interval(N=1e9, D=2e10)", "by name: N, D, level"]),
        (lambda: LAW.at(D=2e10).predict(1e9), ["Write predict(N=1e9)"]),
        (lambda: sf.average([sf.fit(TABLE)]).predict(1e9, 2e10), ["Write predict(N=1e9, D=2e10)"]),
        (lambda: sf.fit(TABLE).predict(1e9, 2e10), ["Write predict(N=1e9, D=2e10)", "by name: N, D, series"]),
        (lambda: sf.fit(TABLE).predict_interval(1e9, 2e10), ["Write predict_interval(N=1e9, D=2e10)"]),
        (lambda: sf.forecast(TABLE).predict(1e9, 2e10), ["Write predict(N=1e9, D=2e10)"]),
        (lambda: sf.forecast(TABLE, "chinchilla"), ["Write forecast(runs, law='chinchilla')"]),
        (
            lambda: sf.compare(TABLE, "kaplan", "coupled"),
            ["Several go in a list: compare(runs, ['kaplan', 'coupled'])"],
        ),
        (lambda: sf.fit(TABLE, "chinchilla", "huber"), ["Write fit(runs, law, objective='huber')"]),
        (lambda: sf.compare_recipes(TABLE, "recipe", "adamw"), ["compare_recipes(runs, recipe, baseline='adamw')"]),
        (lambda: sf.fit_downstream(TABLE, "arc"), ["fit_downstream(runs, metric='arc')"]),
        (lambda: sf.list_datasets(3), ["takes no value by position", "Leave it out"]),
        (lambda: sf.RunPlan(1000), ["RunPlan() takes no value", "schedule"]),
        (lambda: sf.plan(LAW, budget=1e22), ["plan() has no argument 'budget'", "Did you mean 'C'?"]),
        (lambda: sf.plan(LAW, c=1e22), ["Did you mean 'C'?"]),
        (lambda: sf.plan(LAW, levle=0.9, C=1e22), ["Did you mean 'level'?"]),
        (lambda: sf.report_run(monitor(), out="x.html"), ["Did you mean 'path'?"]),
        (
            lambda: sf.fit(TABLE, robust=True),
            ["fit() has no argument 'robust'; nothing was done. It has law, objective"],
        ),
        (lambda: monitor().update(step=1, loss=3.0), ["Did you mean 'train_loss' or 'val_loss'?"]),
        (lambda: sf.fit(), ["fit() needs runs; nothing was done. Write fit(runs=...)"]),
        (lambda: sf.Monitor(), ["Monitor() needs plan"]),
        (lambda: sf.minimum_loss(n_layers=12, d_emb=768), ["needs N and D too"]),
        (lambda: sf.fit(TABLE, runs=TABLE), ["fit() has runs twice, by position and by name"]),
    ],
)
def test_the_error_names_the_argument(call, words):
    with pytest.raises(CallError) as refused:
        call()
    for part in words:
        assert part in str(refused.value)
    assert "positional argument" not in str(refused.value)
    assert isinstance(refused.value, TypeError) and isinstance(refused.value, ArgumentError)
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)


def test_every_public_function_and_what_it_returns_explain_their_calls():
    """A new public function or result cannot forget it."""
    functions = [getattr(sf, name) for name in sf._LAZY if inspect.isfunction(getattr(sf, name))]
    assert len(functions) > 20
    assert not [call.__name__ for call in functions if not hasattr(call, "__wrapped__")]
    results = [getattr(sf, name) for name in sf._LAZY if inspect.isclass(getattr(sf, name))]
    results = [kind for kind in results if hasattr(kind, "predict") or hasattr(kind, "plot")]
    results += [Average, PublishedLaw, Held, Plan, sf.Monitor]
    results.remove(sf.Predictor)  # what others fulfil
    for kind in results:
        own = inspect.getmembers(kind, lambda member: inspect.isfunction(member) and "scalefit" in member.__module__)
        public = {name: member for name, member in own if name[0] != "_"}
        assert public and not [name for name, member in public.items() if not hasattr(member, "__wrapped__")], kind


def test_an_error_inside_the_function_is_left_alone():
    @explained
    def call(value, *, name=None):
        return value + name

    with pytest.raises(TypeError, match="unsupported operand") as inside:
        call(1, name="a")
    assert not isinstance(inside.value, CallError)
    assert inspect.signature(call) == inspect.signature(call.__wrapped__) and call(1, name=2) == 3
