"""Pages on laws of other targets and of more inputs: what is said of the runs, and plans with inputs held."""

import json
import re
import warnings

import numpy as np
import pytest

import scalefit as sf


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sf.ScalefitWarning)
        yield


def data_of(page):
    return json.loads(re.search(r'<script[^>]*id="data"[^>]*>(.*?)</script>', page.html, re.S).group(1))


@pytest.fixture(scope="module")
def errors():
    rng = np.random.default_rng(0)
    loss = rng.uniform(1.8, 4.5, 40)
    return {"val_loss": loss, "error": 0.75 - 1.9 * np.exp(-1.1 * loss) + 0.01 * rng.standard_normal(40)}


def test_what_a_page_says_of_runs_is_on_the_scale_of_the_target(errors):
    page = sf.report(errors, law="downstream_error")
    data, predicted = data_of(page), page.result.predict(val_loss=errors["val_loss"])
    np.testing.assert_allclose(data["runs"]["predicted"], predicted, rtol=1e-6)
    np.testing.assert_allclose(data["runs"]["val_loss"], errors["val_loss"], rtol=1e-6)
    assert data["target"] == "error" and not data["relative"]
    assert f"{float(predicted[0] - errors['error'][0]):+.2g}" in page.html
    half = float(np.median(np.abs(predicted - errors["error"])))
    assert f"within {half:.2g} of the law" in re.sub(r"\s+", " ", page.html)
    assert "loss [other]" not in page.html and "predicted - measured" in page.html
    assert "6 N D FLOP" not in page.html, "there are no plans to explain"


@pytest.fixture(scope="module")
def experts():
    rng = np.random.default_rng(0)
    columns = {"N": 10 ** rng.uniform(8, 10, 60), "D": 10 ** rng.uniform(9.5, 11.5, 60)}
    columns["n_experts"] = rng.choice([1.0, 4.0, 16.0, 64.0], 60)
    law = sf.laws.get("inference_moe")
    return {**columns, "loss": law.evaluate(columns, law.example()) * np.exp(0.002 * rng.standard_normal(60))}


HELD = {"E_start": 2.0, "E_max": 300.0, "d": 0.001, "alpha": 0.3, "beta": 0.3, "b": 0.5}


def test_plans_of_a_page_hold_the_inputs_they_are_given(experts):
    page = sf.report(experts, law="inference_moe", at={"n_experts": 8}, budget=1e22, fixed=HELD)
    model = data_of(page)["planner"]["models"]
    assert list(model) == ["law"] and model["law"]["held"] == {"n_experts": 8.0}
    assert "and n_experts at 8, train" in page.html and "Held: n_experts at 8." in page.html
    assert model["law"]["call"].endswith(".at(n_experts=8)")
    plan = sf.plan(page.result, C=1e22, at={"n_experts": 8})
    (ours,) = [row for row in data_of(page)["numbers"]["plans"] if row["asked"] == 1e22]
    assert ours["N"] == pytest.approx(plan.N) and ours["loss"] == pytest.approx(plan.loss)


def test_without_them_the_page_says_how_to_hold_them(experts):
    page = sf.report(experts, law="inference_moe", fixed=HELD)
    assert data_of(page)["planner"] is None and "at={&#39;n_experts&#39;: ...}" in page.html


def test_a_part_that_laws_share_becomes_script():
    from scalefit.reporting.formula import script_of

    script = script_of(sf.laws.get("routed"))
    assert "effective_experts" not in script and script.count("function") == 2
