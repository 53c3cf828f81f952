"""Saved files that were changed: one clear error, never a traceback and never another prediction."""

import copy
import json
import random
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from simulated import simulate

import scalefit as sf
from scalefit._digests import digest_of, with_digest
from scalefit.fitting.certificate import NOT_UPWARDS

EACH = 130  # mutations of each of eight documents
VALUES = (None, True, "x", "", [], {}, -1, 0, 1e300, float("nan"), float("inf"), [1], {"a": 1})


def monitor():
    plan = sf.RunPlan(schedule=sf.Schedule.cosine(1000, warmup=50), total_steps=1000, n_params=1e8)
    out, rng = sf.Monitor(plan), np.random.default_rng(0)
    for step in range(50, 700, 50):
        out.update(step=step, val_loss=2.5 + 3 * step**-0.3 + 0.002 * rng.standard_normal())
    return out


def two_series():
    return pd.concat([simulate(20, seed=k).assign(series=name) for k, name in enumerate("ab")], ignore_index=True)


SAVED = {
    "fit": lambda: sf.fit(simulate(20)),
    "bootstrap": lambda: sf.fit(simulate(20)).bootstrap(20, seed=0),
    "prior": lambda: sf.fit(simulate(20), prior={"E": (1.8, 0.05)}),
    "shared": lambda: sf.fit(two_series(), by="shared"),
    "expression": lambda: sf.fit(simulate(20), ["chinchilla", "beta = 0.9 * alpha"]),
    "forecast": lambda: sf.forecast(simulate(20)),
    "average": lambda: sf.average([sf.fit(simulate(20)), sf.forecast(simulate(20))], weights=[2, 1]),
    "monitor": monitor,
}


def load(name, text, folder=None):
    """Read a document, from a file where a folder is given: text that no longer starts as one is taken for a name."""
    source = text if folder is None else folder / "saved.json"
    if folder is not None:
        source.write_text(text)
    return sf.load_monitor(source) if name == "monitor" else sf.load_result(source)


def probe(name, loaded):
    """What a person would read off it."""
    if name == "monitor":
        advice = loaded.advise()
        return [advice.state, advice.action, None if advice.final is None else repr(advice.final)]
    at = {"N": [1e9, 1e10], "D": [2e10, 2e11]} | ({"series": "a"} if name == "shared" else {})
    return loaded.predict_interval(**at)[["loss", "lower", "upper"]].to_numpy().tolist()


def places(node, chance, at=()):
    """Paths into a document; of a long list a few entries."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield (*at, key)
            yield from places(value, chance, (*at, key))
    elif isinstance(node, list):
        for k in chance.sample(range(len(node)), min(3, len(node))):
            yield (*at, k)
            yield from places(node[k], chance, (*at, k))


def changed(document, chance):
    """A copy with one entry removed, replaced, scaled, retyped, reordered or added to."""
    document = copy.deepcopy(document)
    *way, last = chance.choice(list(places(document, chance)))
    node = document
    for key in way:
        node = node[key]
    value, kind = node[last], chance.randrange(6)
    if kind == 0:
        del node[last]
    elif kind == 1:
        node[last] = chance.choice(VALUES)
    elif isinstance(value, bool):
        node[last] = not value
    elif isinstance(value, (int, float)):
        node[last] = chance.choice([value * 1.5, -value, value + 1, value * 1e-3, str(value), value * (1 + 1e-7)])
    elif isinstance(value, str):
        node[last] = chance.choice([f"{value}x", f"{value}:N", "kaplan", "squared", "loss"])
    elif isinstance(value, list) and value:
        chance.choice([value.reverse, value.pop, lambda: value.append(value[0])])()
    elif isinstance(value, dict):
        value["extra"] = 1
    return document


def damaged(text, chance):
    """The text cut short, or with one digit or character changed."""
    at = chance.randrange(len(text))
    if chance.random() < 0.2:
        return text[:at]
    return (
        text[:at] + (str((int(text[at]) + 1) % 10) if text[at].isdigit() else chance.choice('",:{}x')) + text[at + 1 :]
    )


@pytest.mark.parametrize("name", SAVED)
@pytest.mark.filterwarnings("ignore::scalefit.ScalefitWarning")
def test_changed_files_are_refused_or_predict_the_same(name, tmp_path):
    text = SAVED[name]().to_json()
    document, chance = json.loads(text), random.Random(name)
    told, refused = probe(name, load(name, text)), 0
    for k in range(EACH):
        other = damaged(text, chance) if k % 4 == 0 else json.dumps(changed(document, chance))
        try:
            loaded = load(name, other, tmp_path)
        except sf.DataError as error:
            refused += 1
            assert "Traceback" not in str(error)
        else:
            assert probe(name, loaded) == told, other[:2000]
            refused += json.loads(other) == document  # nothing was changed, as where null was put for null
    assert refused == EACH


@pytest.mark.parametrize("name", SAVED)
@pytest.mark.filterwarnings("ignore::scalefit.ScalefitWarning")
def test_a_file_that_was_changed_and_signed_again_ends_in_no_traceback(name):
    """The digest is not a seal: whoever changes a file can write a new one. What is then read must still make sense."""
    document, chance = json.loads(SAVED[name]().to_json()), random.Random(name)
    for _ in range(EACH // 2):
        other = changed(document, chance)
        try:
            loaded = load(name, json.dumps(with_digest(other)))
        except sf.DataError:
            continue
        assert str(loaded) and probe(name, loaded)


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("fit", lambda d: d["names"].__setitem__(1, "loss")),
        ("shared", lambda d: d["names"].reverse()),
        ("shared", lambda d: d.update(series=["b", "a"])),
        ("fit", lambda d: d["conventions"].update(assumed=None)),
        ("bootstrap", lambda d: d["draws_about"].pop("failed")),
        ("bootstrap", lambda d: d["draws"][0].__setitem__(0, float("1e999"))),
        ("forecast", lambda d: d["conventions"].update(params=3)),
        ("forecast", lambda d: d["discrepancy"].update(noise=1e308)),
        ("forecast", lambda d: d["spread"].update(noise_factor=1e308)),
        ("forecast", lambda d: d["loss"].__setitem__(4, d["loss"][4] * 1.02)),
        ("forecast", lambda d: d["columns"]["N"].__setitem__(3, d["columns"]["N"][3] * 2)),
        ("average", lambda d: d["results"][0].update(data="a" * 10_000)),
    ],
)
@pytest.mark.filterwarnings("ignore::scalefit.ScalefitWarning")
def test_a_part_that_contradicts_the_others_is_refused_in_a_line(name, harm):
    """Signed again too: names, runs and errors follow from the optimum, and what is no convention is none."""
    document = json.loads(SAVED[name]().to_json())
    harm(document)
    with pytest.raises(sf.DataError) as refused:
        load(name, json.dumps(with_digest(document)))
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("name", SAVED)
@pytest.mark.filterwarnings("ignore::scalefit.ScalefitWarning")
def test_saved_files_are_json_that_any_tool_reads(name):
    """No NaN, no Infinity; another order of the entries and other spaces are the same document."""
    text = SAVED[name]().to_json()

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    document = json.loads(text, parse_constant=refuse)
    assert document["sha256"] == digest_of(document)
    again = load(name, json.dumps(dict(reversed(document.items())), indent=3))
    assert probe(name, again) == probe(name, load(name, text))


def test_an_infinite_certificate_is_null_and_comes_back():
    """A law at its bounds in every parameter has no curvature to give."""
    runs = simulate(20)
    result = sf.fit(runs, "power_law:N", fixed={"alpha": 0.3}, bounds={"E": (5.0, 6.0), "A": (1e-9, 1e-8)})
    assert np.isinf([result.certificate.curvature, result.certificate.condition]).any()
    text = result.to_json()
    assert "Infinity" not in text and json.loads(text)["certificate"]["curvature"] is None
    assert sf.load_result(text).certificate == result.certificate
    sunk = replace(result.certificate, curvature=-np.inf, problems=(NOT_UPWARDS,))
    assert sf.load_result(replace(result, certificate=sunk).to_json()).certificate.curvature == -np.inf
