"""The page of a live run: what its monitor says, from Python and from a log, on every screen."""

from __future__ import annotations

import csv
import json
import re
from html import unescape

import numpy as np
import pytest
from read_page import data_of, numbers

import scalefit as sf
from scalefit.errors import ArgumentError

SCHEDULE = sf.Schedule.cosine(10_000, warmup=200)


def losses(until=6000):
    rng = np.random.default_rng(0)
    for step in range(100, until + 1, 100):
        yield step, float(2.9 + 12 * (step + 50) ** -0.45 + 0.003 * rng.standard_normal())


def monitored(until=6000, **plan):
    monitor = sf.Monitor(sf.RunPlan(schedule=SCHEDULE, **plan))
    for step, loss in losses(until):
        monitor.update(step=step, val_loss=loss)
    return monitor


@pytest.fixture(scope="module")
def page():
    return sf.report_run(monitored(n_params=124e6), title="<b>mine</b>")


def test_it_says_what_the_monitor_says(page):
    monitor = monitored(n_params=124e6)
    advice = monitor.advise()
    said = unescape(re.sub(r"<[^>]+>", "", page.html))
    assert page.advice == advice and advice.final is not None
    assert f"{advice.final.loss:.3f}" in said and f"90 %: {advice.final.lower:.3f} to {advice.final.upper:.3f}" in said
    assert advice.reasons[0].text in said and "124M" in said and "step 6,000 of 10,000" in said
    early = monitor.what_if(SCHEDULE.cooldown_from(6000, 1000))
    assert f"{early.loss:.4f}" in said and "cool down over the next 1,000 steps" in said
    data = data_of(page.html)
    assert data["numbers"]["action"] == advice.action and len(data["runs"]["step"]) == 60
    assert "<b>mine" not in page.html and page.html.count("http") == page.html.count("http-equiv")


def test_a_run_that_is_lost_says_so_in_red(page):
    monitor = monitored()
    for step in range(6100, 7001, 100):
        monitor.update(step=step, val_loss=float("nan"))
    lost = sf.report_run(monitor)
    assert (lost.advice.action, lost.advice.state) == ("rollback", "lost") and 'class="verdict bad"' in lost.html
    assert [reason.code for reason in lost.advice.reasons] == ["not_finite"]
    assert numbers(lost.html)["action"] == "rollback" and 'class="verdict bad"' not in page.html


@pytest.mark.parametrize("until", [0, 100])
def test_a_run_that_has_hardly_begun_has_a_page(until):
    page = sf.report_run(monitored(until))
    assert page.advice.final is None and "too young to judge" in page.html


def test_other_schedules_can_be_compared():
    other = {"stop & cool": SCHEDULE.cooldown_from(6000, 500)}
    page = sf.report_run(monitored(), what_if=other).html
    assert "stop &amp; cool" in page and "cool down over the next" not in page


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"level": 2}, "level=2"),
        ({"title": 3}, "title=3"),
        ({"what_if": {"a": 3}}, r"what_if\['a'\] is a int, not a Schedule"),
        ({"what_if": [1]}, r"what_if=\[1\] must map names"),
        ({"what_if": SCHEDULE}, "must map names"),
    ],
)
def test_arguments_that_make_no_sense(options, words):
    with pytest.raises(ArgumentError, match=words):
        sf.report_run(monitored(300), **options)
    with pytest.raises(ArgumentError, match="not a Monitor"):
        sf.report_run("run.csv")


def test_the_command_makes_it_from_a_log(tmp_path, capsys):
    from scalefit.cli import main

    log, page, plan = tmp_path / "run.csv", tmp_path / "page.html", tmp_path / "plan.json"
    with log.open("w", newline="") as file:
        csv.writer(file).writerows([("step", "val_loss"), *losses()])
    plan.write_text(json.dumps({"schedule": {"kind": "cosine", "total": 10000, "warmup": 200, "final": 0.1}}))

    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            main(["report", *map(str, arguments)])
        return stop.value.code, capsys.readouterr()

    code, out = run(log, "--live", "--plan", plan, "-o", page, "--json")
    assert code == 0 and json.loads(out.out)["final"]["loss"] == pytest.approx(monitored().advise().final.loss)
    assert "Live run: run.csv" in page.read_text(encoding="utf-8")
    code, out = run(log, "--plan", plan, "-o", page, "--force")
    assert code == 2 and "--live" in out.err
    for given in (["--law", "kaplan"], ["--budget", "1e22"], ["--by", "pool"], ["--seed", "1"], ["--loss", "val_loss"]):
        code, out = run(log, "--live", "--plan", plan, "-o", page, "--force", *given)
        assert code == 2 and given[0] in out.err and "--live" in out.err
    code, out = run(log, "--live", "--law", "kaplan", "--N", "n", "--input", "n_experts=e", "--only", "c4")
    assert code == 2 and "--law, --N, --only, --input" in " ".join(out.err.split())
    code, out = run(log, "--live", "--plan", plan, "-o", log)
    assert code == 1 and "left alone" in out.err


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), (390, 844)], ids=["desktop", "phone"])
def test_it_looks_right_on_every_screen(open_tab, page, size, scheme):
    width, height = size
    tab = open_tab(page, viewport={"width": width, "height": height}, color_scheme=scheme, is_mobile=width < 500)
    assert tab.page.evaluate("() => document.documentElement.scrollWidth") <= width
    assert tab.page.locator("#curve svg:visible").count() == 1 and tab.page.is_visible(".headline")
    with tab.page.expect_download() as waiting:
        tab.page.click("#get-csv")
    assert waiting.value.path().read_text().splitlines()[0] == "step,loss [nat/token]"
    tab.assert_quiet(downloads=True)
