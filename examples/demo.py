"""Forecast, fit, plan, and be refused where a table identifies no law; ``make demo`` writes figures to ``demo/``."""

import textwrap
from pathlib import Path

import scalefit as sf

out = Path("demo")
out.mkdir(exist_ok=True)

print("1. A FORECAST: what six Pythia models of up to 2.8B parameters say of 6.9B and 12B, and what came")
reported = sf.load_dataset("reported_losses", drop="doubtful")
pythia = reported[reported["series"] == "pythia"]
small, large = pythia.query("N < 3e9"), pythia.query("N > 3e9")
forecast = sf.forecast(small, law="power_law:N")
forecast.plot(out / "pythia.png", ratio=10)
forecast.to_json(out / "pythia.json")
found = forecast.predict_interval(N=large["N"])[["loss", "lower", "upper"]]
print(found.round(3).assign(measured=large["loss"].to_numpy()).to_string(index=False))

print("\n2. A LAW: 61 small models on a source whose entropy is 2.352 nat/token, which E should find")
own = sf.load_dataset("scalefit_cpu").query("kind == 'branch' and series == 'markov'")
result = sf.fit(own, "chinchilla")
result.plot(out / "scalefit_cpu.png")
print(str(result).partition("\n\nStrong")[0])

print("\n3. A PLAN: the best run for ten times the compute of the largest of them")
print(*str(sf.plan(result, C=10 * own["C"].max())).splitlines()[:6], sep="\n")

print("\n4. REFUSED: tables that identify no law of N and D, with the reason")
pooled = reported[reported["series"].str.startswith("cerebras")]
for what, runs, by in (("Pythia", small, None), ("Cerebras-GPT", pooled, "pool")):
    try:
        sf.fit(runs.dropna(subset=["N", "D"]), "chinchilla", by=by)
    except sf.FitError as reason:
        print(textwrap.fill(f"{what}: {reason}", 100, subsequent_indent="    "))
print(f"\nFigures and the saved forecast are in {out}/. Next: . .venv/bin/activate; scalefit fit YOUR_RUNS.csv")
