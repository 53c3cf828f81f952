"""The typed public face: every public name has a type, a correct script passes mypy --strict and wrong calls do not."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import scalefit as sf

SCRIPT = """
from __future__ import annotations

import pandas as pd
import scalefit as sf

runs = sf.read_runs("runs.csv", N="n_params")
checked: sf.CheckedRuns = sf.check_runs(runs, ("N", "D"))
result: sf.FitResult = sf.fit(runs, "chinchilla", fixed={"E": 1.7})
every: dict[str, sf.FitResult] = sf.fit(runs, by="series")
fits: sf.Fits = sf.fit(runs, "data_mixing", loss=["loss_web", "loss_code"])
mixture: sf.OptimalMixture = sf.optimal_mixture(fits, weights={"loss_web": 1.0}, bounds={"web": (0, 0.8)})
drawn: sf.FitResult = result.bootstrap(n=100)
forecast: sf.ForecastResult = sf.forecast(runs)
collected: pd.DataFrame = sf.collect("runs/")
chained: sf.Chain = sf.chain(forecast, result)
tasks: sf.DownstreamResult = sf.fit_downstream(runs, loss="val_loss", metric=["accuracy"], chance=0.25)
tuned: sf.Hyperparameters = sf.fit_hyperparameters(runs, of=("lr", "batch_size"))
recipes: sf.RecipeComparison = sf.compare_recipes(runs, recipe="recipe", baseline="adamw")
table: pd.DataFrame = sf.compare(runs, ["chinchilla", "kaplan"])
one = sf.plan(result, C=1e21)
n: float = one.N
several: pd.DataFrame = sf.plan(result, C=[1e21, 1e22], hyperparameters=tuned)
more: pd.DataFrame = sf.next_runs(result, budget=1e19)
published = sf.published("chinchilla", "hoffmann2022")


def best(law: sf.Predictor) -> float:
    return sf.plan(law, C=1e21).loss


best(result), best(forecast), best(published), best(sf.average([result, forecast])), best(result.at(D=1e9))
optima = sf.isoflop(runs), sf.envelope(runs)
exponent: float = optima[0].exponent_N
floor: sf.Floor | pd.DataFrame = sf.loss_floor(N=1e8, D=1e9, n_layers=12, d_emb=768, T_max=1024)
least: sf.MinimumLoss = sf.minimum_loss(N=1e8, D=1e9, n_layers=12, d_emb=768, T_max=1024)
bounds: sf.EntropyBounds = sf.entropy_bounds("text.txt", tokenizer="byte")
slope: sf.ExponentPrediction = sf.predict_exponent("text.txt", window=(1, 16))
plan = sf.RunPlan(schedule=sf.Schedule.constant(1000))
monitor: sf.Monitor = sf.Monitor(plan)
again = sf.load_result("r.json"), sf.load_forecast("f.json"), sf.load_monitor("m.json")
page = sf.report(runs)
live = sf.report_run(sf.Monitor(sf.RunPlan(schedule=sf.Schedule.constant(100)))).advice
side: pd.DataFrame = sf.summary_table([result, result])
tex: str = sf.summary_table({"a": result}, latex=True)
labels: list[str] = [str(x) for x in sf.plot([result], planned={"N": 1e9, "D": 2e10}).get_legend_handles_labels()[1]]
names: pd.DataFrame = sf.list_datasets()
loaded: pd.DataFrame = sf.load_dataset("scalefit_cpu")
errors: tuple[type[Exception], ...] = (sf.ScalefitError, sf.DataError, sf.FitError)
warning: type[Warning] = sf.ScalefitWarning
note: sf.Note = result.notes[0]
laws: list[str] = sf.laws.names()


class Mine(sf.Law):
    n_experts = sf.Input("experts per layer", names=("n_experts",), range=(1, 512), typical=(1, 4, 16))
    target = sf.Target("loss", unit="nat/token", sense=-1)
    E = sf.Parameter("irreducible loss", (0.0, 10.0))


class Mixed(sf.Law):
    r = sf.Shares("shares of the training domains", 3)
    t = sf.Parameter("effect of a share", (-9.0, 9.0), each="r", reference=0.0)


sf.counting.count_parameters(12, 768), sf.flops.training_flops(1e9, 1e10), sf.memory.critical_radius(64)
"""
WRONG = [
    'sf.fit("runs.csv", lawwww="a")',
    'sf.fit("runs.csv", by="shred")',
    'sf.fit("runs.csv").parms',
    'sf.fit("runs.csv", by="series").params',
    'sf.forecast("runs.csv", horizon=3)',
    'sf.plan(sf.fit("runs.csv"), c=1e21)',
    'sf.plan(sf.fit("runs.csv"), C=1e21).n',
    'sf.compare("runs.csv", holdot="largest_C")',
    "sf.plot([3])",
    'sf.summary_table([sf.fit("runs.csv").law])',
    'sf.next_runs(sf.fit("runs.csv"))',
    'sf.published("chinchilla").predict_intervall(N=1, D=1)',
    'sf.entropy_bounds("text.txt", tokeniser="byte")',
    'sf.predict_exponent("text.txt").beta',
    "sf.collect()",
    'sf.compare_recipes("runs.csv", recipes="recipe")',
    'sf.compare_recipes("runs.csv", recipe="recipe").tables',
    "sf.minimum_loss(N=1e8, D=1e9, layers=12)",
    "sf.minimum_loss(N=1e8, D=1e9, n_layers=12, d_emb=768, T_max=1024).lowest",
    'sf.isoflop("runs.csv", method="guess")',
    'sf.isoflop("runs.csv").exponents',
    'sf.envelope("curves.csv", budget=3)',
    "sf.average(3)",
    "sf.loss_floor(n=1e8)",
    'sf.read_runs("runs.csv", n="params")',
    'sf.check_runs("runs.csv").runs',
    'sf.load_result("fit.json", laws="kaplan")',
    'sf.load_forecast("forecast.json").horizon',
    'sf.load_monitor("monitor.json").advice',
    'sf.report("runs.csv").write("page.html")',
    'sf.report_run("run.csv")',
    'sf.chain(sf.fit("runs.csv"))',
    'sf.fit_downstream("runs.csv", metrics="accuracy")',
    'sf.fit_hyperparameters("runs.csv", settings=("lr",))',
    'sf.optimal_mixture(sf.fit("runs.csv", "data_mixing"), weight=1)',
    "sf.list_datasets(1)",
    "sf.load_dataset()",
    "sf.published(law=3)",
    "sf.RunPlan(schedule=sf.Schedule.cosine(100), steps=100)",
    "sf.Schedule.cosine()",
    "sf.Schedule.triangle(100)",
    "sf.Monitor(plan=None, histories=[])",
    "sf.Monitor(sf.RunPlan(schedule=sf.Schedule.cosine(100))).update(stp=1)",
    'sf.Input("experts", name="n_experts")',
    "sf.Target(unit=3)",
    'sf.Target("loss", sense=2)',
    'sf.Parameter("exponent")',
    'sf.Shares("shares", domain=3)',
    'sf.laws.get("chinchilla").formulas',
    "sf.flops.training_flops(N=1e9, tokens=1e10)",
    "sf.counting.count_parameters(layers=12)",
    "sf.memory.critical_radius()",
    'sf.Note("code", "loud", "message")',
]
#: What nobody calls: protocols, bases, errors, and results that functions return.
NOT_CALLED = {
    *("Predictor", "Law", "ScalefitError", "DataError", "FitError", "ScalefitWarning", "CheckedRuns", "Fits"),
    *("FitResult", "ForecastResult", "RecipeComparison", "EntropyBounds", "ExponentPrediction", "Chain", "Floor"),
    *("DownstreamResult", "OptimalMixture", "MinimumLoss", "Hyperparameters"),
}


def mypy(text: str, folder: Path) -> str:
    pytest.importorskip("mypy", reason="mypy is not installed")
    file = folder / "user.py"
    file.write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={folder / 'cache'}", str(file)]
    return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent.parent, timeout=300).stdout


def test_types_and_lazy_names_are_the_same():
    tree = ast.parse(Path(sf.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    typed = {alias.name: node.module for node in block.body for alias in node.names}
    assert typed == {**sf._LAZY, **dict.fromkeys(sf._SUBMODULES, "scalefit")}
    assert set(typed) == set(sf.__all__) - {"__version__"}


def test_a_script_with_every_name_passes_and_wrong_calls_do_not(tmp_path):
    wrong = "\n".join(["import scalefit as sf", *WRONG])
    said = mypy(SCRIPT, tmp_path)
    assert "Success" in said, said
    said = mypy(wrong, tmp_path)
    missed = [call for line, call in enumerate(WRONG, start=2) if f"user.py:{line}: error" not in said]
    assert not missed, said
    untried = [name for name in sf.__all__ if f"sf.{name}" not in wrong and name not in {"__version__", *NOT_CALLED}]
    assert not untried, "write a wrong call that mypy must refuse"
    unused = [name for name in sf.__all__ if name != "__version__" and f"sf.{name}" not in SCRIPT]
    assert not unused
