"""Laws of mixtures: shares found in a table, what is refused, the held constant, several losses together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.tables.shares import share_columns

DOMAINS = ("web", "code", "books")
TRUTH = {"c": 2.0, "k": 0.8, "t_web": -1.5, "t_code": 0.6, "t_books": 0.0}


def mixtures(n=30, seed=0, domains=DOMAINS):
    """Shares of `n` mixtures, some of them 0."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(len(domains), 0.7), n)
    shares[shares < 0.03] = 0.0
    return shares / shares.sum(axis=1, keepdims=True)


def runs(n=30, noise=0.0, seed=0, prefix="share_"):
    shares = mixtures(n, seed)
    law = sf.laws.get("data_mixing").over(DOMAINS)
    columns = dict(zip(law.inputs, shares.T, strict=True))
    other = {**TRUTH, "c": 1.2, "t_web": 0.9, "t_code": -3.0}
    rng = np.random.default_rng(seed + 1)
    frame = pd.DataFrame(dict(zip((prefix + name for name in DOMAINS), shares.T, strict=True)))
    for name, params in (("loss_web", TRUTH), ("loss_code", other)):
        frame[name] = law.evaluate(columns, params) * np.exp(noise * rng.standard_normal(n))
    return frame


def test_the_law_comes_back_with_the_t_of_one_domain_held():
    result = sf.fit(runs(), "data_mixing", loss="loss_web")
    assert result.trusted and result.n_free == 4
    held = [name for name in result.params.index if name.startswith("t_") and result.params[name] == 0.0]
    assert len(held) == 1 and held[0] in result.fixed
    shift = TRUTH[held[0]]
    for domain in DOMAINS:
        assert result.params[f"t_{domain}"] == pytest.approx(TRUTH[f"t_{domain}"] - shift, abs=1e-7)
    assert result.params["k"] == pytest.approx(TRUTH["k"] * np.exp(shift), rel=1e-7)


@pytest.mark.parametrize("held", DOMAINS)
def test_predictions_do_not_depend_on_the_domain_that_is_held(held):
    table = runs(noise=0.01)
    one = sf.fit(table, "data_mixing", loss="loss_web")
    other = sf.fit(table, "data_mixing", loss="loss_web", fixed={f"t_{held}": 0.0})
    assert other.params[f"t_{held}"] == 0.0
    assert other.predict(r=mixtures(5, 9)) == pytest.approx(one.predict(r=mixtures(5, 9)), rel=1e-8)


@pytest.mark.parametrize("law", ["data_mixing", "effective_mixture", "additive_mixture"])
def test_every_law_of_mixtures_recovers_predictions_of_its_own_table(law):
    chosen = sf.laws.get(law).over(DOMAINS)
    shares = mixtures(60, 3)
    params = chosen.example()
    columns = dict(zip(chosen.inputs, shares.T, strict=True))
    result = sf.fit({**columns, "loss": chosen.evaluate(columns, params)}, law)
    new = mixtures(20, 4)
    truth = chosen.evaluate(dict(zip(chosen.inputs, new.T, strict=True)), params)
    assert result.law.name == f"{law}:web,code,books" and result.trusted
    np.testing.assert_allclose(result.predict(r=new), truth, rtol=1e-6)


def test_shares_are_found_by_what_their_columns_share():
    table = runs()
    for rename, prefix in ((lambda d: f"train_the_pile_{d}", "train_the_pile_"), (lambda d: f"{d}_ratio", "")):
        frame = table.rename(columns={f"share_{d}": rename(d) for d in DOMAINS})
        assert list(share_columns(frame, "r")) == list(DOMAINS), prefix
    plain = table.rename(columns={f"share_{d}": d for d in DOMAINS})
    assert share_columns(plain, "r") == {d: d for d in DOMAINS}
    assert share_columns(table, "r", "share_*") == {d: f"share_{d}" for d in DOMAINS}
    assert sf.fit(table, "data_mixing", loss="loss_web", inputs={"r": [f"share_{d}" for d in DOMAINS]}).law.domains()


def test_a_file_is_read_as_the_frame_is(tmp_path):
    table = runs(noise=0.01)
    table.to_csv(tmp_path / "runs.csv", index=False)
    read = sf.fit(tmp_path / "runs.csv", "data_mixing", loss="loss_code")
    assert read.params.to_dict() == pytest.approx(sf.fit(table, "data_mixing", loss="loss_code").params.to_dict())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.assign(share_web=t.share_web + 0.2), "sum to 1.2 in row 0 and 29 more rows"),
        (lambda t: t.assign(**{f"share_{d}": 100 * t[f"share_{d}"] for d in DOMAINS}), "percentages"),
        (lambda t: t.assign(**{f"share_{d}": 1e9 * t[f"share_{d}"] for d in DOMAINS}), "tokens, it seems"),
        (
            lambda t: t.rename(columns={f"share_{d}": f"{d}{k}" for k, d in enumerate(DOMAINS)}).assign(web0=3.0),
            "No col",
        ),
        (lambda t: t.assign(mix_a=t.share_web, mix_b=1 - t.share_web), "Several groups of columns"),
        (lambda t: t.assign(share_books="x"), "No columns of shares|holds no numbers"),
    ],
)
def test_shares_that_are_none_are_refused(change, words):
    with pytest.raises(sf.DataError, match=words):
        sf.fit(change(runs()), "data_mixing", loss="loss_web")


def test_one_bad_row_is_named():
    table = runs()
    table.loc[7, "share_web"] += 0.3
    with pytest.raises(sf.DataError, match=r"they sum to 1\.3 in row 7;"):
        sf.fit(table, "data_mixing", loss="loss_web")


def test_rounded_shares_are_divided_by_their_sum():
    table = runs()
    for domain in DOMAINS:
        table[f"share_{domain}"] = table[f"share_{domain}"].round(3)
    columns = sf.fit(table, "data_mixing", loss="loss_web").runs()
    np.testing.assert_allclose(sum(columns[f"r_{d}"] for d in DOMAINS), 1.0, rtol=1e-12)


def test_a_missing_share_sets_its_row_aside():
    table = runs()
    table.loc[3, "share_code"] = np.nan
    with pytest.warns(sf.ScalefitWarning, match=r"row 3 \(r_code is missing\)"):
        assert sf.fit(table, "data_mixing", loss="loss_web").n_runs == 29


def test_fewer_mixtures_than_parameters_are_counted():
    shares = mixtures(200, domains=tuple("abcdefghijklmnopq"))
    table = pd.DataFrame(shares, columns=[f"share_{x}" for x in "abcdefghijklmnopq"])
    table["loss"] = 3.0 + shares[:, 0]
    with pytest.raises(sf.FitError, match="12 distinct mixtures of 17 domains vary 11 of the 16 directions"):
        sf.fit(table[:12], "data_mixing")
    with pytest.raises(sf.FitError, match="18 distinct mixtures of 17 domains vary every share.*at least 20"):
        sf.fit(table[:18], "data_mixing")
    with pytest.raises(sf.FitError, match="4 distinct mixtures"):
        sf.fit(
            pd.concat([runs(4)] * 10, ignore_index=True).assign(loss_web=np.linspace(2, 3, 40)),
            "data_mixing",
            loss="loss_web",
        )


def test_a_domain_that_never_varies_is_named():
    table = runs()
    for domain in DOMAINS:
        table[f"share_{domain}"] *= 0.9
    table["share_maths"] = 0.1
    with pytest.raises(sf.FitError, match="vary 2 of the 3 directions that shares can take; maths never varies"):
        sf.fit(table, "data_mixing", loss="loss_web")


def test_shares_of_a_prediction_are_checked():
    result = sf.fit(runs(), "data_mixing", loss="loss_web")
    assert result.predict(r={"web": 1.0}) == result.predict(r=[1, 0, 0]) == result.predict(r_web=1, r_code=0, r_books=0)
    with pytest.raises(ValueError, match="sum to 0.7, not to 1"):
        result.predict(r={"web": 0.7})
    with pytest.raises(ValueError, match="names maths"):
        result.predict(r={"web": 0.7, "maths": 0.3})
    with pytest.raises(ValueError, match="shape"):
        result.predict(r=[0.5, 0.5])


def test_several_losses_are_several_fits_whose_draws_go_together(tmp_path):
    table = runs(noise=0.01)
    common = np.exp(0.03 * np.random.default_rng(5).standard_normal(len(table)))  # what a run adds to both its losses
    for name in ("loss_web", "loss_code"):
        table[name] *= common
    fits = sf.fit(table, "data_mixing", loss=["loss_web", "loss_code"])
    assert list(fits) == ["loss_web", "loss_code"] and fits.trusted
    assert fits["loss_web"].params.equals(sf.fit(table, "data_mixing", loss="loss_web").params)
    draws = fits.draws(500)
    for name, result in fits.items():
        error = result.std_errors
        np.testing.assert_allclose(draws[name].std()[error > 0], error[error > 0], rtol=0.5)
    even = {f"r_{domain}": 1 / 3 for domain in DOMAINS}
    at_even = [result.law.evaluate(even, draws[name]) for name, result in fits.items()]
    assert np.corrcoef(at_even)[0, 1] > 0.4
    fits.to_json(tmp_path / "fits.json")
    again = sf.load_result(tmp_path / "fits.json")
    assert again.params.equals(fits.params) and str(again) == str(fits)
    assert sf.fit(table, "data_mixing", loss="loss_*").params.equals(fits.params)


def test_a_table_of_shares_is_read_by_the_names_of_its_columns():
    result = sf.fit(runs(), "data_mixing", loss="loss_web")
    asked = {"web": [0.5, 0.1], "code": [0.2, 0.3], "books": [0.3, 0.6]}
    expected = result.predict(r=asked)
    for names in (["code", "web", "books"], ["books", "code", "web"]):
        np.testing.assert_array_equal(result.predict(r=pd.DataFrame(asked)[names]), expected)
    with pytest.raises(sf.ScalefitError, match="names 0, 1, 2"):
        result.predict(r=pd.DataFrame([[0.5, 0.2, 0.3]]))
    for bad in ("half", [["a", "b", "c"]], [[1, 0], [1]]):
        with pytest.raises(sf.ScalefitError, match="must be shares, one for each domain"):
            result.predict(r=bad)


@pytest.mark.parametrize(
    ("options", "sides"),
    [({"overestimate_penalty": 5.0}, (5.0, 1.0)), ({"objective": "quantile", "quantile": 0.8}, (0.2, 0.8))],
)
def test_every_loss_is_fitted_with_the_options_asked_for(options, sides):
    table = runs(noise=0.03)
    fits = sf.fit(table, "data_mixing", loss=["loss_web", "loss_code"], **options)
    alone = sf.fit(table, "data_mixing", loss="loss_web", **options)
    assert fits["loss_web"].problem.objective.sides == pytest.approx(sides)
    pd.testing.assert_series_equal(fits["loss_web"].params, alone.params, check_exact=True)


def test_refits_that_did_not_converge_are_counted_with_the_draws(monkeypatch):
    """The draws kept them as they ended, and said nothing."""
    from scalefit.fitting import bootstrap

    fits = sf.fit(runs(noise=0.03), "data_mixing", loss=["loss_web", "loss_code"])
    run = bootstrap._Refits.run

    def lame(self, weights, *rest):
        x, _ = run(self, weights, *rest)
        return x, np.arange(len(x)) % 4 != 0

    monkeypatch.setattr(bootstrap._Refits, "run", lame)
    with pytest.warns(sf.ScalefitWarning, match=r"Of 40 resamples, many did not converge for 'loss_web' \(10\), "):
        drawn = fits.draws(40)
    assert all(table.attrs["failed"] == 10 for table in drawn.values())


def test_a_metric_of_mixtures_is_read_as_what_it_is():
    """An accuracy may be 0; a loss may not, and the row was set aside where the columns were named."""
    table = runs()
    accuracy = np.clip(0.2 + 0.5 * table["share_web"], 0, 1)
    accuracy[3] = 0.0

    class Score(sf.Law):
        """An accuracy, linear in the shares."""

        inputs = ("r",)
        formula = "a(r) = c + sum_j t_j r_j"
        target = sf.Target("accuracy", sense=+1, range=(0.0, 1.0), scale="linear")
        r = sf.Shares("shares", DOMAINS)
        c = sf.Parameter("constant", (-2.0, 2.0), (-0.2, 0.0, 0.2))
        t = sf.Parameter("effect", (-2.0, 2.0), (-0.2, 0.1, 0.5), each="r", reference=0.0)

        @staticmethod
        def loss(r, c, t):
            return c + sum(a * b for a, b in zip(t, r, strict=True))

    table["right"] = accuracy
    named = {"r": ["share_web", "share_code", "share_books"]}
    result = sf.fit(table, Score, columns={"loss": "right"}, inputs=named)
    assert result.n_runs == len(table)
    assert result.predict(r={"web": 1.0}) - result.predict(r={"books": 1.0}) == pytest.approx(0.5, abs=0.05)


def test_bad_losses_are_named():
    table = runs()
    with pytest.raises(sf.DataError, match="No column 'loss_x'"):
        sf.fit(table, "data_mixing", loss=["loss_web", "loss_x"])
    with pytest.raises(sf.FitError, match="loss 'loss_code': All 30 losses"):
        sf.fit(table.assign(loss_code=2.0), "data_mixing", loss=["loss_web", "loss_code"])


def test_a_law_of_ones_own_reads_shares_beside_sizes():
    class Sized(sf.Law):
        """Shares and a size."""

        inputs = ("N", "mix")
        formula = "L(N, mix) = E + A N^-alpha exp(sum_j t_j mix_j)"
        mix = sf.Shares("shares", 2)
        E = sf.Parameter("floor", (0.0, 20.0), (0.5, 1.7, 3.0), log=True)
        A = sf.Parameter("coefficient", (0.0, 1e6), (10.0, 50.0, 400.0), log=True)
        alpha = sf.Parameter("size exponent", (0.0, 3.0), (0.2, 0.3, 0.4))
        t = sf.Parameter("effect", (-50.0, 50.0), (-1.0, 0.0, 1.0), each="mix", reference=0.0)

        @staticmethod
        def loss(N, mix, E, A, alpha, t):
            return E + A * N**-alpha * np.exp(sum(a * b for a, b in zip(t, mix, strict=True)))

    assert Sized.inputs == ("N", "mix_1", "mix_2") and list(Sized.parameters)[3:] == ["t_1", "t_2"]
    N, web = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e7, 1e9, 5), [0.1, 0.3, 0.6, 0.9]))
    loss = Sized.loss(N, (web, 1 - web), 1.5, 60.0, 0.3, (-0.8, 0.0))
    result = sf.fit({"N": N, "share_web": web, "share_code": 1 - web, "loss": loss}, Sized)
    np.testing.assert_allclose(result.predict(N=N, mix=np.column_stack([web, 1 - web])), loss, rtol=1e-6)
    with pytest.raises(ValueError, match="two or more different names"):
        sf.Shares("one", 1)
    with pytest.raises(ValueError, match="reads no shares"):
        sf.laws.get("chinchilla").over(["web", "code"])


def test_laws_of_mixtures_are_compared_on_held_out_mixtures():
    table = runs(40, noise=0.002).rename(columns={"loss_web": "loss"})
    found = sf.compare(table.drop(columns="loss_code"), ["effective_mixture", "data_mixing"], holdout="k-fold")
    assert set(found["law"]) == {"data_mixing", "effective_mixture"} and found["failed"].sum() == 0
    assert found["law"].iloc[0] == "data_mixing" and found["rmse"].iloc[0] < 0.02


def test_a_quarter_of_a_million_mixtures_fit_in_memory():
    """The left singular vectors of so long a table took 466 GiB."""
    table = runs(250_000, noise=0.01)
    result = sf.fit(table, "data_mixing", loss="loss_web")
    assert result.trusted and result.params["c"] == pytest.approx(TRUTH["c"], abs=0.01)


def test_directions_that_were_not_varied_are_named_however_few_mixtures_there_are():
    shares = mixtures(40, domains=("a", "b", "c", "d"))
    shares[:, 1] = shares[:, 0] = shares[:, :2].sum(axis=1) / 2
    table = pd.DataFrame(shares, columns=[f"share_{x}" for x in "abcd"])
    table["loss"] = 2 + np.exp(-shares[:, 2])
    for n in (40, 3):  # fewer mixtures than domains too
        with pytest.raises(sf.FitError, match=r"vary 2 of the 3 directions.*a and b cannot be told apart|vary 2 of"):
            sf.fit(table[:n], "data_mixing")
