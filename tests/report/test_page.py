"""The page as text: what it holds, what it never holds, and tables it is refused for."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import warnings
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hostile_runs import HOSTILE, grid
from read_page import data_of, numbers

import scalefit as sf
from scalefit import _text as words
from scalefit.errors import ArgumentError, DataError, FitError
from scalefit.reporting.formula import script_of
from scalefit.reporting.html import json_text, tag


class Reader(HTMLParser):
    """Collects elements, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        if name not in {"meta", "link", "input", "br", "hr"}:
            self.open.append(name)

    def handle_startendtag(self, name, attributes):
        self.elements.append((name, dict(attributes)))

    def handle_endtag(self, name):
        assert self.open.pop() == name, f"</{name}> closes what was not opened"

    def handle_data(self, data):
        self.texts.append(data)


def section(page: str, name: str) -> str:
    found = re.search(rf'<section id="{name}".*?</section>', page, re.S)
    assert found is not None
    return found.group(0)


SECTIONS = "verdict fit planner plans notes next parameters residuals isoflop comparison minimum".split()
SECTIONS += "runs methods absent floor".split()


def test_the_page_is_well_formed_small_and_whole(made):
    reader = Reader(made.html)
    assert reader.open == []
    assert len(made.html.encode()) < 3_000_000
    ids = [attributes["id"] for name, attributes in reader.elements if name == "section"]
    assert ids == SECTIONS
    for name in SECTIONS:
        assert len(re.sub(r"<[^>]+>", "", section(made.html, name)).strip()) > 60, f"{name} is empty"


def test_nothing_is_fetched_from_anywhere(made):
    assert "http:" not in made.html and "https:" not in made.html and "//cdn" not in made.html
    for name, attributes in Reader(made.html).elements:
        for key in ("src", "srcset", "action", "formaction", "poster", "style", "background"):
            assert key not in attributes, (name, key)
        assert not any(key.startswith("on") for key in attributes), (name, attributes)
        if "href" in attributes:
            assert attributes["href"].startswith("#") or attributes["href"] == "data:,"
    assert "@import" not in made.html and "url(" not in made.html


def test_the_policy_allows_exactly_the_style_and_script_of_the_page(made):
    policy = next(a["content"] for n, a in Reader(made.html).elements if a.get("http-equiv"))
    assert "default-src 'none'" in policy and "unsafe" not in policy
    for name in ("style", "script"):
        source = re.search(rf"<{name}>(.*?)</{name}>", made.html, re.S).group(1)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy


def test_hostile_names_are_text_in_markup_and_in_data(made):
    for name in HOSTILE[:4]:
        assert name not in made.html
    reader = Reader(made.html)
    assert not {"img", "b", "iframe", "object", "embed"} & {name for name, _ in reader.elements}
    assert set(HOSTILE) <= {text for text in reader.texts}
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', made.html, re.S).group(1)
    assert "<" not in data and ">" not in data and "\u2028" not in data
    assert json.loads(data)["runs"]["name"][: len(HOSTILE)] == list(HOSTILE)


@pytest.mark.parametrize("text", HOSTILE[1:4])
def test_title_series_and_columns_are_text_too(text):
    runs = grid(5, 6).assign(series=text, **{text[:20]: 1.0})
    page = sf.report(runs, title=text, only=text).html
    assert Reader(page).open == [] and (text not in page or not set("<>") & set(text))


def test_names_cannot_turn_the_words_of_the_page_around():
    """U+202E reverses what follows to the end of its block; Arabic and Hebrew are written without it."""
    page = sf.report(
        grid(5, 6).assign(series="\u202e3202 مرحبا"), title="\u2067שלום\u202e txet", only="\u202e3202 مرحبا"
    ).html
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", markup)
    assert "\ufffd3202 مرحبا" in markup and "<h1>\ufffdשלום\ufffd txet</h1>" in markup


def test_the_same_table_gives_the_same_page(runs, made, tmp_path):
    again = sf.report(runs, tmp_path / "r.html", title="Runs & <b>names</b>")
    assert again.html == made.html == (tmp_path / "r.html").read_text(encoding="utf-8")


def test_the_plan_table_is_what_plan_says(runs, made):
    table, forecast = section(made.html, "plans"), sf.forecast(runs)
    most = float(made.result.runs()["C"].max())
    for multiple in (1, 10, 1000):
        plan, law = (sf.plan(by, C=multiple * most, level=0.9) for by in (forecast, made.result))
        assert f"{plan.loss:.4f}" in table and words.count(plan.N) in table and words.count(plan.D) in table
        assert f"{law.loss:.4f}" in table
    assert table.count("<tr>") == 8 and table.count("planned") == 1


def test_a_budget_of_ones_own_is_the_planned_run(runs):
    report = sf.report(runs, budget="5e23")
    plan = sf.plan(sf.forecast(runs), C=5e23, level=0.9)
    said = section(report.html, "verdict")
    assert f"train {words.count(plan.N)} parameters" in said
    assert f"expect a loss of {plan.loss:.3f} (90 %: {plan.lower:.3f} to {plan.upper:.3f})" in said
    headline = re.search(r'<div class="headline">.*?</div>', said).group(0)
    assert f"{plan.loss:.3f}" in headline and "calibrated forecast" in headline
    law = sf.plan(report.result, C=5e23, level=0.9)
    assert f"The fitted law alone says {law.loss:.3f}" in said
    assert "5×10²³ <span" in section(report.html, "plans")


def test_the_least_loss_of_the_planned_run_is_that_of_its_plan(made):
    plan = sf.plan(sf.forecast(grid()), C=float(f"{10 * made.result.runs()['C'].max():.3g}"))
    said = section(made.html, "minimum")
    for row in plan.minimum_loss.table.to_dict("records"):
        assert f"{row['law']} {row['constants']}".strip() in said and f"{row['loss']:.4g}" in said
    assert plan.minimum_loss.verdict in said


def test_the_floor_of_the_planned_run_is_that_of_its_columns(runs):
    bare = section(sf.report(runs).html, "floor")
    assert "no n_layers, d_emb, T_max" in bare and "<table" not in bare
    shaped = runs.assign(n_layers=12, d_emb=768, T_max=1024, vocab_size=32000)
    report = sf.report(shaped)
    budget = float(f"{10 * float(6 * (runs['N'] * runs['D']).max()):.3g}")
    plan = sf.plan(sf.forecast(runs), C=budget, level=0.9)
    shape = plan.shape(T_max=1024, vocab_size=32000)
    floor = sf.loss_floor(
        shape.counts.total, plan.D, shape.n_layers, shape.d_emb, 1024, vocab_size=32000, d_ff=shape.d_ff
    )
    said = section(report.html, "floor")
    assert floor.allowed in said
    assert f"{shape.n_layers} layers, d_emb {shape.d_emb}, T_max 1024, vocabulary 32000" in said


def test_isoflop_curves_are_drawn_or_refused_in_words(made):
    said = section(made.html, "isoflop")
    optima = sf.isoflop(grid())
    assert (
        f"C to the power {optima.exponent_N:.3f}" in said and said.count("<circle") == 2 * 240
    )  # for a wide page and a phone
    key = said.index("best size of each budget; labels")
    assert "</svg>" in said[:key] and "<svg" not in said[key:]  # below the figure, where it covers no curve
    scattered = grid().sample(60, random_state=0)
    scattered["D"] *= np.random.default_rng(0).uniform(0.3, 3, 60)
    refused = section(sf.report(scattered).html, "isoflop")
    assert ("not share a few budgets" in refused or "not made for isoFLOP" in refused) and "<svg" not in refused


def test_other_laws_are_compared_on_runs_that_none_of_them_saw(runs, made):
    said = section(made.html, "comparison")
    frame = sf.compare(runs, ["chinchilla", "coupled", "kaplan", "power_law:C", "forecast"])
    assert str(frame.attrs["verdict"]) in said and said.count("this report") == 1
    places = [said.index(f">{law} ") for law in frame["law"]]
    assert places == sorted(places)
    for row in frame.to_dict("records"):
        assert f"{100 * row['mean_relative_error']:.3g} %" in said and f"{row['rmse']:.4f}" in said


def test_plans_are_the_calibrated_forecasts_beside_the_law(runs, made):
    said, ahead = section(made.html, "plans"), sf.plan(sf.forecast(runs), C=3e22, level=0.9)
    law = sf.plan(made.result, C=3e22, level=0.9)
    for plan in (ahead, law):
        assert f"{plan.loss:.4f}" in said and f"[{plan.lower:.4f}, {plan.upper:.4f}]" in said
    assert words.count(ahead.N) in said and "loss by the law alone" in said


@pytest.mark.parametrize(
    ("table", "why"), [(grid(3, 3).head(7), "7 runs are too few"), (grid(4, 4, noise=0.2), "anywhere from")]
)
def test_runs_that_do_not_say_what_to_train_get_no_recommendation(table, why):
    page = sf.report(table).html
    said = section(page, "verdict")
    assert "No run is recommended" in said and why in said and "train " not in said.split("The law")[1]
    for name in ("planner", "plans", "floor"):
        assert why in section(page, name) and "<table" not in section(page, name)
    assert "<input" not in page and "<table" in section(page, "next")


def test_what_does_not_apply_is_folded_and_named(made):
    folded = made.html[made.html.index('<section id="absent"') :]
    assert (
        folded.index("<details>") < folded.index('id="floor"') and "1 section that this table does not allow" in folded
    )
    links = re.search(r"<nav.*?</nav>", made.html, re.S).group(0)
    assert "#absent" in links and "#floor" not in links
    everything = sf.report(grid(6, 8).assign(n_layers=12, d_emb=768, T_max=1024)).html
    assert 'id="absent"' not in everything


def test_formulas_are_typeset_with_the_fitted_numbers(made):
    result = made.result
    said = section(made.html, "parameters")
    assert said.count("<math>") == 2 and "<mi>α</mi>" in said and f"<mn>−{result.params['alpha']:.3f}</mn>" in said
    assert "N^-alpha" not in made.html.split('<script type="application/json"')[0].split("methods")[0]


def test_the_numbers_of_the_page_are_there_for_programs(made, runs):
    data = numbers(made.html)
    assert data["params"]["alpha"]["value"] == pytest.approx(made.result.params["alpha"])
    plan = sf.plan(sf.forecast(runs), C=data["planned"])
    mine = next(one for one in data["plans"] if one["by"] == "forecast" and one["asked"] == data["planned"])
    assert mine["loss"] == pytest.approx(plan.loss) and mine["N"] == pytest.approx(plan.N)


def test_the_next_runs_are_those_of_next_runs(made):
    frame = sf.next_runs(made.result, 3e21, C=3e22, n_runs=5)
    said = section(made.html, "next")
    for row in frame.to_dict("records"):
        assert words.count(row["N"]) in said and words.power(row["C"]) in said


def test_a_law_in_one_input_has_a_page_without_plans():
    page = sf.report(grid(8, 3), law="power_law:C").html
    assert "cannot plan" in section(page, "planner") and "<input" not in page and "No run is recommended" not in page
    assert "cannot plan" in section(page, "plans") and "<svg" in section(page, "fit")


def test_a_law_that_a_page_cannot_compute_says_so():
    class Bent(sf.Law):
        """A sum that is taken by a function of numpy that no page knows."""

        inputs = ("N", "D")
        formula = "L(N, D) = E + A N^-alpha + B D^-beta"
        E = sf.Parameter("irreducible loss", (0.0, 20.0), (0.5, 1.7, 3.0), unit="nat/token", log=True)
        A = sf.Parameter("model-size coefficient", (0.0, 1e20), (10.0, 400.0, 1e4), log=True)
        alpha = sf.Parameter("model-size exponent", (0.0, 3.0))
        B = sf.Parameter("data coefficient", (0.0, 1e20), (10.0, 400.0, 1e4), log=True)
        beta = sf.Parameter("data exponent", (0.0, 3.0))

        @staticmethod
        def loss(N, D, E, A, alpha, B, beta):
            return np.add(E + A * N**-alpha, B * D**-beta)

    page = sf.report(grid(6, 8), law=Bent).html
    assert "np.add" in section(page, "planner") and "<table" in section(page, "plans")


def test_a_fit_that_must_not_be_trusted_says_no_first():
    N = np.geomspace(1e8, 1e10, 12)
    runs = pd.DataFrame({"N": N, "D": 20 * N * np.exp(np.random.default_rng(0).normal(0, 1e-3, 12))})
    runs["loss"] = sf.published("chinchilla", "besiroglu2024").predict(N=runs["N"], D=runs["D"])
    with pytest.raises(FitError):
        sf.report(runs)  # refused outright: no page is made
    report = sf.report(grid(3, 4).assign(unique_tokens=1e15), law="data_constrained")
    assert not report.trusted and "Do not use this fit" in section(report.html, "verdict")


def test_several_series_are_named_and_one_can_be_chosen():
    runs = grid(5, 6)
    table = pd.concat([runs.assign(series="c4"), runs.assign(series="pile", loss=runs["loss"] * 1.1)])
    with pytest.raises(DataError, match=r"2 series \(c4, pile\).*only='c4'"):
        sf.report(table)
    with pytest.raises(ArgumentError, match="'owt' is not a series.*c4, pile"):
        sf.report(table, only="owt")
    one = sf.report(table, only="pile").result
    assert one.n_runs == 30 and one.params["E"] == pytest.approx(1.1 * sf.fit(runs).params["E"], rel=1e-3)
    assert sf.report(table, by="pool").result.n_runs == 60
    with pytest.raises(ArgumentError, match="one law"):
        sf.report(table, by="shared")


@pytest.mark.parametrize(
    ("options", "words_"),
    [
        ({"level": 1.0}, "level=1.0"),
        ({"budget": -1.0}, "-1"),
        ({"budget": "lots"}, "lots"),
        ({"law": "no_such_law"}, "no_such_law"),
        ({"objectiv": "huber"}, "objectiv"),
    ],
)
def test_arguments_that_make_no_sense(runs, options, words_):
    with pytest.raises((ArgumentError, DataError, TypeError), match=re.escape(words_)):
        sf.report(runs, **options)


@pytest.mark.parametrize("bad", [{}, {"N": [1e8, 1e9]}, {"N": [1e8] * 3, "D": [1e9] * 3, "loss": [3.0, 3.1, np.nan]}])
def test_tables_that_bear_no_law(bad):
    with pytest.raises((DataError, FitError)), warnings.catch_warnings():
        warnings.simplefilter("ignore", sf.ScalefitWarning)  # of the row that is set aside
        sf.report(pd.DataFrame(bad))


def test_rows_set_aside_do_not_shift_the_names():
    table = (runs := grid(5, 6)).copy()
    table.loc[[0, 7], "loss"] = np.nan
    with pytest.warns(sf.ScalefitWarning, match="2 of 30 rows cannot be used"):
        report = sf.report(table)
    names = data_of(report.html)["runs"]["name"]
    assert names == [name for i, name in enumerate(runs["run"]) if i not in (0, 7)]


def test_a_large_table_is_fitted_whole_and_shown_in_part(tmp_path):
    report = sf.report(grid(20, 80), level=0.8)
    assert report.result.n_runs == 1600 and len(report.html) < 3_000_000
    data = data_of(report.html)
    assert len(data["runs"]["name"]) == len(data["runs"]["loss"]) == 1500
    assert max(data["runs"]["loss"]) == report.result.problem.loss.max()
    assert "Show 1500 runs of 1600" in section(report.html, "runs")


def test_losses_keep_their_unit():
    page = sf.report(sf.read_runs(grid(5, 6), loss_unit="other")).html
    assert "loss [other]" in page


def test_the_module_does_not_hide_the_function():
    import scalefit.reporting.report

    assert callable(sf.report) and scalefit.reporting.report.report is sf.report


# -- parts ----------------------------------------------------------------------------------------------------------


def test_what_is_not_markup_is_escaped():
    assert tag("a", "<i>", title='"&') == '<a title="&#34;&amp;">&lt;i&gt;</a>'
    assert tag("input", disabled=True, hidden=False, class_=None, data_i=3) == '<input disabled data-i="3">'
    assert json.loads(json_text({"a": ["</script>", float("nan"), np.float64(1.5)]})) == {"a": ["</script>", None, 1.5]}


@pytest.mark.parametrize(
    ("value", "said"),
    [(999.6, "1K"), (9.996e8, "1B"), (1.23456e11, "123B"), (7.0e15, "7×10¹⁵"), (0.5, "0.5"), (float("inf"), "∞")],
)
def test_counts_in_words(value, said):
    assert words.count(value) == said


@pytest.mark.parametrize(("value", "said"), [(1e22, "10²²"), (1.3e-4, "1.3×10⁻⁴"), (9.999e5, "10⁶"), (0.0, "0")])
def test_powers_in_words(value, said):
    assert words.power(value) == said


LEVEL_OF_THE_SEA = 2.5


def test_constants_around_a_law_are_written_into_its_script():
    class Tidal(sf.Law):
        """Uses a constant of its module and numpy's pi."""

        inputs = ("N", "D")
        E = sf.Parameter("floor", (0.0, 5.0))

        @staticmethod
        def loss(N, D, E):
            with np.errstate(all="ignore"):
                a, b = N / D, np.where(N > D, 1.0, 2)
                return E + LEVEL_OF_THE_SEA * a + np.pi * b

    assert script_of(Tidal).splitlines() == [
        "function (N_, D_, E_) {",
        "  const a_ = (N_ / D_);",
        "  const b_ = ((N_ > D_) ? 1.0 : 2.0);",
        f"  return ((E_ + (2.5 * a_)) + ({np.pi!r} * b_));",
        "}",
    ]


def test_what_is_not_arithmetic_is_not_translated():
    def made_of(body):
        return type(
            "Odd", (sf.Law,), {"inputs": ("N",), "E": sf.Parameter("floor", (0.0, 5.0)), "loss": staticmethod(body)}
        )

    def rebinds(N, E):
        N = N * 2
        return N + E

    def calls(N, E):
        return E + sum([N])

    def branches(N, E):
        if E > 1:
            return E
        return N

    for body in (rebinds, calls, branches):
        with pytest.raises(ArgumentError, match="cannot do by itself"):
            script_of(made_of(body))


# -- command line ---------------------------------------------------------------------------------------------------


@pytest.fixture
def command(capsys):
    from scalefit.cli import main

    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            main(["report", *map(str, arguments)])
        out = capsys.readouterr()
        return stop.value.code, out.out, out.err

    return run


def test_the_command_writes_the_page(command, runs, tmp_path):
    table, page = tmp_path / "runs.csv", tmp_path / "page.html"
    runs.rename(columns={"N": "size", "loss": "val"}).to_csv(table, index=False)
    code, out, _ = command(table, "-o", page, "--N", "size", "--loss", "val", "--budget", "1e23", "--title", "<T>")
    assert code == 0 and str(page) in out and "with care" in out
    assert "<title>&lt;T&gt;</title>" in page.read_text(encoding="utf-8")
    code, out, _ = command(table, "-o", page, "--N", "size", "--loss", "val", "--json")
    said = json.loads(out)
    assert code == 0 and said["bytes"] == page.stat().st_size and said["trusted"] and said["n_runs"] == 240
    assert "runs.csv" in page.read_text(encoding="utf-8")


def test_the_command_refuses_in_one_line(command, runs, tmp_path):
    table = tmp_path / "runs.csv"
    runs.to_csv(table, index=False)
    before = table.read_bytes()
    code, _, err = command(table, "-o", table)
    assert code == 1 and "left alone" in err and table.read_bytes() == before
    for arguments in ([tmp_path / "none.csv"], [table, "--loss", "nope"], [table, "-o", tmp_path / "no/such/dir.html"]):
        code, _, err = command(*arguments)
        assert code == 1 and len(err.strip().splitlines()) == 1 and "Traceback" not in err
    assert command(table, "--level", "2")[0] == 2


def test_the_command_says_when_not_to_trust(command, tmp_path):
    table = tmp_path / "runs.csv"
    grid(3, 4).assign(unique_tokens=1e15).to_csv(table, index=False)
    code, out, _ = command(table, "-o", tmp_path / "p.html", "--law", "data_constrained")
    assert code == 3 and "NO" in out and (tmp_path / "p.html").exists()


@pytest.mark.filterwarnings("ignore:.*were set aside")
def test_a_shape_that_only_unfinished_runs_have_does_not_crash():
    """The floor takes its context from the run of the lowest loss, and these rows have none."""
    runs = grid(4, 12).assign(n_layers=12, d_emb=768, T_max=np.nan)
    lost = runs.iloc[:2].assign(loss=np.nan, T_max=1024)
    page = sf.report(pd.concat([runs, lost], ignore_index=True))
    assert page.result.n_runs == 48 and 'id="floor"' in page.html


def test_the_heading_counts_the_warnings_that_are_listed():
    runs = grid(4, 12)
    runs.loc[[5, 20], "loss"] *= 1.3
    page = sf.report(runs, budget=1e24).html
    said = section(page, "verdict")
    counts = re.search(
        r"Use with care: (\d+) warnings? on the fit(?:, (\d+) on the forecast)?, (\d+) on the plan", said
    )
    assert counts is not None
    assert section(page, "notes").count('<li class="warning"') == sum(int(n or 0) for n in counts.groups())


def under_the_law(N, D, noise, seed=0):
    law = sf.published("chinchilla", "besiroglu2024")
    loss = law.predict(N=N, D=D) * np.exp(noise * np.random.default_rng(seed).standard_normal(N.size))
    return pd.DataFrame({"N": N, "D": D, "loss": loss})


def test_warnings_on_the_forecast_lower_the_verdict():
    """The plan is the forecast's, so that its doubts count where the fit has none."""
    rng = np.random.default_rng(1)
    report = sf.report(under_the_law(10 ** rng.uniform(6, 7.3, 40), 10 ** rng.uniform(8, 9.5, 40), 0.003))
    said, listed = section(report.html, "verdict"), section(report.html, "notes")
    assert "Use with care: 1 warning on the forecast, 1 on the plan" in said and "can be used" not in said
    assert "warning, forecast: embeddings counted" in listed and report.verdict == "with care (2 warnings)"
    assert ["forecast", "embeddings_counted"] in [[note["on"], note["code"]] for note in numbers(report.html)["notes"]]


def test_scatter_and_jumps_beyond_calibration_are_on_the_page():
    N, D = (a.ravel() for a in np.meshgrid(np.geomspace(1e8, 4e9, 6), np.geomspace(2e9, 2e11, 6)))
    wide = sf.report(under_the_law(N, D, 0.03)).html
    assert "warning, forecast: scatter" in wide and "can be used" not in section(wide, "verdict")
    far = sf.report(under_the_law(N, D, 0.003), budget=1e26).html
    assert "warning, plan: beyond calibration" in far and "can be used" not in section(far, "verdict")
    near = sf.report(under_the_law(N, D, 0.003)).html
    assert "This fit can be used" in section(near, "verdict") and "warning, plan: beyond reach" in near


def test_a_forecast_without_trust_recommends_no_run():
    report = sf.report(grid(4, 4, noise=0.2, seed=1))
    said = section(report.html, "verdict")
    assert report.trusted and "No run is recommended" in said and "The forecast must not be trusted" in said
    assert "train " not in said.split("The law chinchilla")[1] and "<input" not in report.html
    assert "error, forecast: untrusted" in section(report.html, "notes") and "no run is recommended" in report.verdict
    assert numbers(report.html)["forecast"] == {"trusted": False}


def test_no_run_is_recommended_where_the_forecast_leaves_its_size_open():
    """The law with fixed exponents says the size within a factor of three; the forecast, which is quoted, does not."""
    N, D = (a.ravel() for a in np.meshgrid(np.geomspace(5e7, 2e8, 3), np.geomspace(1e9, 8e9, 4)))
    runs, fixed = under_the_law(N, D, 0.003), {"alpha": 0.3478, "beta": 0.3658}
    law, ahead = (
        sf.plan(by, C=1e23).N_interval for by in (sf.fit(runs, fixed=fixed).bootstrap(300), sf.forecast(runs))
    )
    assert law[1] < 3 * law[0] and ahead[1] > 10 * ahead[0]
    report = sf.report(runs, budget=1e23, fixed=fixed)
    said = section(report.html, "verdict")
    assert "No run is recommended" in said and "by the calibrated forecast" in said and "train " not in said


def test_no_run_is_recommended_where_next_runs_fail_too(monkeypatch):
    def refuse(*_, **__):
        raise ArgumentError("No design", "no run was chosen", "Wait")

    monkeypatch.setattr("scalefit.planning.next_runs.next_runs", refuse)
    page = sf.report(grid(3, 3)).html
    said = section(page, "verdict")
    assert "No run is recommended" in said and "9 runs are too few" in said and "can be used" not in said
    assert "No design" in section(page, "next")


def test_recipes_and_accuracies_are_taken_where_a_table_has_them_and_named():
    runs = grid(n_budgets=5, per_budget=6)
    rng = np.random.default_rng(0)
    runs["acc_scales"] = 0.25 + 0.7 / (1 + np.exp(3 * (runs["loss"] - 2.6))) + 0.005 * rng.standard_normal(len(runs))
    runs["acc_random"] = 0.5 + 0.05 * rng.standard_normal(len(runs))
    runs["recipe"] = ["<b>one</b>", "two"] * (len(runs) // 2)
    page = sf.report(runs).html
    tasks, recipes = section(page, "tasks"), section(page, "recipes")
    assert "columns acc_scales, acc_random" in tasks and "1 of 2 cannot be predicted" in tasks
    assert "column recipe" in recipes and "<b>one" not in page and "&lt;b&gt;one&lt;/b&gt;" in recipes
    assert Reader(page).open == []


def test_columns_that_give_no_answer_say_why():
    runs = grid(n_budgets=4, per_budget=6)
    runs["recipe"] = ["one"] * (len(runs) - 2) + ["two"] * 2
    page = sf.report(runs).html
    assert "too few to compare" in section(page, "recipes") and 'id="tasks"' not in page


def test_a_sweep_of_learning_rates_gives_their_law():
    N, D, step = (a.ravel() for a in np.meshgrid([5e7, 1e8, 2e8], [2e9, 8e9, 3e10], range(5)))
    best = 1.79 * N**-0.713 * D**0.307
    lr = 2e-3 * 2.0 ** (np.round(np.log2(best / 2e-3)) + step - 2)
    law = sf.published("chinchilla", "besiroglu2024")
    loss = np.asarray(law.predict(N=N, D=D)) + 0.03 * np.log(lr / best) ** 2
    loss += 0.001 * np.random.default_rng(0).standard_normal(N.size)
    page = sf.report({"N": N, "D": D, "lr": lr, "loss": loss}).html
    assert "column lr" in section(page, "settings") and "exponent of N" in section(page, "settings")


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ({"lr": "cosine"}, "Column 'lr' holds 'cosine' in row 0, not a number"),
        ({"batch_size": [[1, 2]] * 16}, "Column 'batch_size' holds [1, 2] in row 0, not a number"),
    ],
)
def test_a_setting_that_cannot_be_read_is_no_reason_to_make_no_page(cells, why):
    N, D = (a.ravel() for a in np.meshgrid(np.geomspace(5e7, 2e9, 4), np.geomspace(1e9, 1e11, 4)))
    loss = sf.published("besiroglu2024").predict(N=N, D=D) * np.exp(np.random.default_rng(0).normal(0, 0.003, N.size))
    page = sf.report(pd.DataFrame({"N": N, "D": D, "loss": loss, **cells})).html
    assert why in unescape(section(page, "settings"))


def test_recipes_of_json_may_be_lists():
    N, D = (a.ravel() for a in np.meshgrid(np.geomspace(5e7, 2e9, 4), np.geomspace(1e9, 1e11, 4)))
    loss = sf.published("besiroglu2024").predict(N=N, D=D) * np.exp(np.random.default_rng(0).normal(0, 0.003, N.size))
    recipe = [["adamw", 1], ["muon", 2]] * 8
    page = sf.report(pd.DataFrame({"N": N, "D": D, "loss": loss, "recipe": recipe})).html
    assert "['muon', 2]" in unescape(section(page, "recipes"))


@pytest.mark.parametrize("high", [1.0, 2e-5])
def test_long_labels_of_ticks_leave_room_for_the_words_of_the_axis(high):
    """Labels such as -0.00002 ran into the upright words beside them."""
    from scalefit.reporting.svg import Axis, Figure

    axis = Axis(
        -high, high, "measured above predicted", write=lambda value: f"{value:.5f}" if high < 1 else f"{value:g}"
    )
    figure = Figure(Axis(0.0, 1.0, "x"), axis, "residuals")
    ticks = re.findall(r'<text[^>]*x="([\d.]+)"[^>]*text-anchor="end"[^>]*>([^<]+)</text>', str(figure.render()))
    assert len(ticks) > 2
    assert all(float(x) - 0.6 * figure.text * len(label) >= 17 for x, label in ticks)
