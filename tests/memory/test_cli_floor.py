"""``scalefit floor``: one plan, a table of plans, JSON, and bad input in one clear line."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import warnings

import pandas as pd
import pytest

from scalefit.cli import main

PLAN = ["--N", "124M", "--D", "9B", "--layers", "12", "--d-emb", "768", "--context", "1024"]


@dataclasses.dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(capsys):
    """Run the command in this process: the code it exits with and what it printed."""

    def call(*args):
        with warnings.catch_warnings(), pytest.raises(SystemExit) as stopped:
            main(["floor", *args])
        return Done(int(stopped.value.code or 0), *capsys.readouterr())

    return call


@pytest.fixture
def plans(tmp_path):
    path = tmp_path / "plans.csv"
    path.write_text("N,D,layers,d_model,context\n124M,9B,12,768,1024\n7e10,1.4e12,80,8192,2048\n")
    return path


def test_the_module_runs_as_a_program():
    command = [sys.executable, "-m", "scalefit", "floor", *PLAN, "--json"]
    out = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert json.loads(out.stdout)["regime"] == "over_filled"
    assert (out.returncode, out.stderr) == (0, "")


def test_one_plan(run):
    out = run(*PLAN)
    assert out.returncode == 0
    assert "1 nat/token or more: no upper limit" in out.stdout and "8.629 nat/token" in out.stdout
    assert out.stderr == ""


def test_one_plan_as_json(run):
    out = run(*PLAN, "--vocab", "50257", "--convention", "paper", "--json")
    record = json.loads(out.stdout)
    assert record["implied_params"] == 124_439_808
    assert record["convention"] == "paper"
    assert record["loss_lower"] == 1.0
    assert record["loss_at_z_lower"] > 1.0
    assert isinstance(record["assumptions"], list)


def test_a_mismatch_is_named_once(run):
    out = run(*PLAN[:1], "1M", *PLAN[2:])
    assert out.returncode == 0
    assert (out.stdout + out.stderr).count("blocks alone") == 1


def test_a_table_of_plans(run, plans, tmp_path):
    out = run(str(plans), "--out", str(tmp_path / "floors.csv"))
    assert out.returncode == 0
    assert "over_filled" in out.stdout
    floors = pd.read_csv(tmp_path / "floors.csv")
    assert floors["loss_at_z_upper"].tolist() == pytest.approx([8.629, 11.453], abs=1e-3)
    record = json.loads(run(str(plans), "--json", "--radius", "critical").stdout)
    assert [plan["loss_lower"] for plan in record["plans"]] == [1.0, 1.0]
    assert record["plans"][0]["balanced_params"] is None
    assert record["radius"] == "critical"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([*PLAN[:-1], "abc"], "'abc' is not a quantity"),
        (PLAN[:-2], "T_max missing"),
        ([*PLAN[:3], "10", *PLAN[4:]], "less than one training sequence"),
        ([*PLAN, "--radius", "big"], "--radius big is not"),
        ([*PLAN, "--convention", "printed"], "--convention printed is not known"),
        ([*PLAN, "--out", "x.csv"], "--out x.csv belongs to a table"),
        (["nowhere.csv"], "no file 'nowhere.csv'"),
        (["nowhere.csv", *PLAN], "Leave out --N, --D, --layers, --d-emb, --context"),
        ([], "a plan needs N, D"),
    ],
)
def test_bad_input_is_one_clear_line(run, args, message):
    out = run(*args)
    assert out.returncode == 1
    assert message in out.stderr
    assert "Traceback" not in out.stderr
    assert len(out.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("N,D\n1e8,1e9\n", "no column n_layers"),
        ("N,D,layers,d_emb,context\n1e8,x,12,768,1024\n", "D is 'x', which is not a number"),
        ("N,D,layers,d_emb,context\n1e8,1e9,12.5,768,1024\n", "row 2: n_layers = 12.5 must be"),
        ("N,D,layers,d_emb,context\n", "no rows"),
    ],
)
def test_bad_tables_are_one_clear_line(run, tmp_path, text, message):
    (tmp_path / "bad.csv").write_text(text)
    out = run(str(tmp_path / "bad.csv"))
    assert out.returncode == 1
    assert message in out.stderr
    assert "Traceback" not in out.stderr
