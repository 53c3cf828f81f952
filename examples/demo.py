"""Forecast, fit, plan, and be refused where a table identifies no law; ``make demo`` writes figures to ``demo/``."""

import textwrap
from pathlib import Path

import scalefit as sf

out = Path("demo")
out.mkdir(exist_ok=True)

print("1. A FORECAST: Cerebras-GPT 6.7B and 13B from five models of up to 2.7B, with what was measured")
reported = sf.load_dataset("reported_losses", drop="doubtful")
cerebras = reported[reported["series"] == "cerebras-gpt"]
small, large = cerebras.query("N < 3e9"), cerebras.query("N > 3e9")
forecast = sf.forecast(small)
forecast.plot(out / "cerebras.png")
forecast.to_json(out / "cerebras.json")
found = forecast.predict_interval(N=large["N"], D=large["D"])[["loss", "lower", "upper"]]
print(found.round(3).assign(measured=large["loss"].to_numpy()).to_string(index=False))

print("\n2. A LAW: 61 small models on a source whose entropy is 2.352 nat/token, which E should find")
own = sf.load_dataset("scalefit_cpu").query("kind == 'branch' and series == 'markov'")
result = sf.fit(own, "chinchilla")
result.plot(out / "scalefit_cpu.png")
print(str(result).partition("\n\nStrong")[0])

print("\n3. A PLAN: the best run for ten times the compute of the largest of them")
print(*str(sf.plan(result, C=10 * own["C"].max())).splitlines()[:6], sep="\n")

print("\n4. REFUSED: tables that identify no law of N and D, with the reason")
pythia = reported[reported["series"] == "pythia"]
pooled = reported[reported["series"].str.startswith("cerebras")]
for what, runs, by in (("Pythia", pythia.query("N < 3e9"), None), ("Cerebras-GPT", pooled, "pool")):
    try:
        sf.fit(runs.dropna(subset=["N", "D"]), "chinchilla", by=by)
    except sf.FitError as reason:
        print(textwrap.fill(f"{what}: {reason}", 100, subsequent_indent="    "))
print(f"\nFigures and the saved forecast are in {out}/. Next: . .venv/bin/activate; scalefit fit YOUR_RUNS.csv")
