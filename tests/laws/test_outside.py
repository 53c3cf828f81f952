"""Laws from outside: in a file that a user names, in an installed package, and by another spelling or by authors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import scalefit as sf
from scalefit.cli import main

MINE = '''
"""A law of one's own."""
from pathlib import Path

import scalefit as sf

with Path(__file__).with_suffix(".runs").open("a") as log:
    log.write("x")


class Mine(sf.Law):
    name = "{name}"
    inputs = ("N", "D")
    formula = "L(N, D) = E + A N^-alpha + B D^-{power}"
    E = sf.Parameter("floor", (0.0, 10.0), (1.0, 2.0), unit="nat/token", log=True, linear=True)
    A = sf.Parameter("size coefficient", (0.0, 1e9), (100.0, 1e3), log=True, linear=True)
    alpha = sf.Parameter("size exponent", (0.0, 2.0), (0.2, 0.4))
    B = sf.Parameter("data coefficient", (0.0, 1e9), (100.0, 1e3), log=True, linear=True)

    @staticmethod
    def loss(N, D, E, A, alpha, B):
        return E + A * N**-alpha + B * D**-{power}


class Idle(sf.Law):
    """A second law, so that the file must say which."""
    inputs = ("D",)
'''


def write(folder: Path, name: str = "mine", power: float = 0.37, file: str = "mylaw.py") -> Path:
    path = folder / file
    path.write_text(MINE.format(name=name, power=power))
    return path


@pytest.fixture(scope="module")
def runs():
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(5e7, 5e9, 5), np.geomspace(1e9, 1e11, 5)))
    noise = np.exp(0.003 * np.random.default_rng(0).standard_normal(N.size))
    return {"N": N, "D": D, "loss": (1.8 + 480 * N**-0.35 + 2100 * D**-0.37) * noise}


@pytest.fixture
def table(runs, tmp_path):
    path = tmp_path / "runs.csv"
    np.savetxt(path, np.stack(list(runs.values()), axis=1), delimiter=",", header="N,D,loss", comments="")
    return str(path)


def cli(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return int(end.value.code or 0)


def test_a_file_that_is_named_gives_its_law_and_runs_once(tmp_path, runs):
    path = write(tmp_path)
    result = sf.fit(runs, f"{path}:Mine")
    assert result.law.name == "mine" and result.params["alpha"] == pytest.approx(0.35, abs=0.02)
    assert sf.laws.get(f"{path}:Mine") is result.law
    assert path.with_suffix(".runs").read_text() == "x"
    table = sf.compare(runs, [f"{path}:Mine", "chinchilla"])
    assert set(table["law"]) == {"mine", "chinchilla"}


def test_an_edited_file_is_another_law(tmp_path, runs):
    first = sf.laws.get(f"{write(tmp_path)}:Mine")
    second = sf.laws.get(f"{write(tmp_path, power=0.2555)}:Mine")
    assert first is not second and "0.2555" in second.formula


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("import nothing_of_this_name", "ModuleNotFoundError"),
        ("x = 1\ny = 1 / 0", r"ZeroDivisionError: division by zero \(line 2\)"),
        ("def broken(:", "SyntaxError"),
        ("raise SystemExit(7)", "SystemExit"),
        ("Mine = 3", "has no law Mine"),
        ("from scalefit.laws.chinchilla import Chinchilla as Mine", "has no law Mine"),
        ("import scalefit as sf\nclass Mine(sf.Law):\n    name = 'kaplan'", "as one of scalefit's own"),
    ],
)
def test_a_file_without_a_law_is_one_clear_error(tmp_path, text, what, runs):
    path = tmp_path / "bad.py"
    path.write_text(text)
    with pytest.raises(sf.errors.ArgumentError, match=what):
        sf.fit(runs, f"{path}:Mine")


def test_what_is_missing_is_named(tmp_path, runs):
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        sf.fit(runs, str(tmp_path / "absent.py:Mine"))
    path = write(tmp_path)
    with pytest.raises(ValueError, match="has 2 laws \\(Mine, Idle\\); none was taken"):
        sf.fit(runs, str(path))
    with pytest.raises(ValueError, match="law=Idle has no parameters and no loss"):
        sf.fit(runs, f"{path}:Idle")


def test_a_saved_result_asks_for_its_law_and_runs_nothing(tmp_path, runs):
    path, saved = write(tmp_path), tmp_path / "mine.json"
    result = sf.fit(runs, f"{path}:Mine")
    result.to_json(saved)
    ran = path.with_suffix(".runs")
    ran.unlink()
    with pytest.raises(sf.DataError, match="'mine', which is not one of scalefit's own laws.*law='mylaw.py:Mine'"):
        sf.load_result(saved)
    document = json.loads(saved.read_text())
    del document["sha256"]
    for name in (f"{path}:Mine", str(path), "Mine", "hoffmann2022"):
        saved.write_text(json.dumps({**document, "law": name}))
        with pytest.raises(sf.DataError, match="not one of scalefit's own"):
            sf.load_result(saved)
    assert not ran.exists(), "nothing was run because of what a file says"
    result.to_json(saved)
    for law in (f"{path}:Mine", result.law):
        again = sf.load_result(saved, law)
        assert again.predict(N=1e9, D=2e10) == result.predict(N=1e9, D=2e10)
    with pytest.raises(sf.DataError, match="the law given is 'chinchilla'"):
        sf.load_result(saved, "chinchilla")


def test_a_law_that_changed_since_is_noticed(tmp_path, runs):
    saved = tmp_path / "mine.json"
    sf.fit(runs, f"{write(tmp_path)}:Mine").to_json(saved)
    with pytest.raises(sf.DataError, match="another formula since"):
        sf.load_result(saved, f"{write(tmp_path, power=0.3)}:Mine")


def test_a_blend_and_a_forecast_load_with_their_law(tmp_path, runs):
    law = sf.laws.get(f"{write(tmp_path)}:Mine")
    blend = sf.average([sf.fit(runs, "chinchilla"), sf.fit(runs, law)])
    again = sf.load_result(blend.to_json(), law)
    assert again.predict(N=1e9, D=2e10) == blend.predict(N=1e9, D=2e10)
    with pytest.raises(sf.DataError, match="result 1 holds a fit of 'mine'"):
        sf.load_result(blend.to_json())
    forecast = sf.forecast(runs, law=law)
    with pytest.raises(sf.DataError, match="'mine'"):
        sf.load_result(forecast.to_json())
    again = sf.load_result(forecast.to_json(), f"{tmp_path / 'mylaw.py'}:Mine")
    assert again.predict(N=1e9, D=2e10) == pytest.approx(forecast.predict(N=1e9, D=2e10), rel=1e-12)


def test_every_command_takes_such_a_law(tmp_path, table, capsys):
    law, saved = f"{write(tmp_path)}:Mine", str(tmp_path / "mine.json")
    assert cli("fit", table, "--law", law, "--save", saved) == 0
    assert cli("predict", saved, "--N", "1B", "--D", "20B") == 1
    assert "Give that law, --law mylaw.py:Mine" in capsys.readouterr().err
    assert cli("predict", saved, "--law", law, "--N", "1B", "--D", "20B", "--json") == 0
    assert json.loads(capsys.readouterr().out)["law"] == "mine"
    assert cli("plan", table, "--law", law, "--C", "1e21", "--bootstrap", "0") == 0
    assert cli("plan", saved, "--law", law, "--C", "1e21", "--bootstrap", "0") == 0
    assert cli("next-runs", saved, "--law", law, "--budget", "1e19") == 0
    assert cli("forecast", table, "--law", law, "--at", "N=1e9,D=2e10") == 0
    assert cli("compare", table, "--law", law, "--law", "Hoffmann2022") == 0
    out = capsys.readouterr().out
    assert "mine" in out and "chinchilla" in out
    assert cli("laws", law) == 0
    assert "size exponent" in capsys.readouterr().out


@pytest.mark.slow
def test_the_report_takes_such_a_law(tmp_path, table):
    assert cli("report", table, "--law", f"{write(tmp_path)}:Mine", "-o", str(tmp_path / "page.html")) == 0


# -- packages ----------------------------------------------------------------------------------------------------


def install(folder: Path, package: str, points: dict[str, str], text: str | None = None) -> None:
    """A package as pip leaves it: a module and its metadata."""
    module = package.replace("-", "_")
    if text is None:
        write(folder, "installed_law", file=f"{module}.py")
    else:
        (folder / f"{module}.py").write_text(text)
    about = folder / f"{module}-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
    lines = [f"{name} = {module}:{target}" for name, target in points.items()]
    (about / "entry_points.txt").write_text("[scalefit.laws]\n" + "\n".join(lines) + "\n")


def python(folder: Path, code: str) -> str:
    root = str(Path(sf.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), root])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


PACKAGED = """
import sys, warnings
import numpy as np, scalefit as sf
warnings.simplefilter("ignore")
N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(5e7, 5e9, 4), np.geomspace(1e9, 1e11, 4)))
runs = {"N": N, "D": D, "loss": 1.8 + 480 * N**-0.35 + 2100 * D**-0.37}
assert "installed_law" in sf.laws.names() and "good_laws" not in sys.modules
assert sf.fit(runs, "Hoffmann").law.name == "chinchilla" and "good_laws" not in sys.modules
assert sf.laws.available(N=7e9, D=2e11) and "good_laws" not in sys.modules
result = sf.fit(runs, "Installed-Law")
assert "good_laws" in sys.modules and abs(result.params["alpha"] - 0.35) < 1e-6
text = result.to_json()
try:
    sf.load_result(text)
except sf.DataError as error:
    print(error)
assert sf.load_result(text, "installed_law").predict(N=1e9, D=2e10) == result.predict(N=1e9, D=2e10)
for name in ("broken", "no_law", "other_name", "twice"):
    try:
        sf.laws.get(name)
    except ValueError as error:
        print(error)
assert sf.laws.get("kaplan").name == "kaplan"
from scalefit.cli import main
main(["laws"])
"""


def test_an_installed_package_gives_laws_and_a_broken_one_breaks_nothing(tmp_path):
    install(tmp_path, "good-laws", {"installed_law": "Mine"})
    install(tmp_path, "bad-laws", {"broken": "Mine"}, "import something_that_is_not_there")
    install(tmp_path, "odd-laws", {"no_law": "x", "twice": "x", "kaplan": "x"}, "x = 3")
    install(tmp_path, "named-laws", {"other_name": "Mine", "twice": "Mine"}, MINE.format(name="y", power=0.3))
    out = python(tmp_path, PACKAGED).splitlines()
    assert "'installed_law', which is not one of scalefit's own" in out[0]
    assert "package bad-laws 1.2" in out[1] and "ModuleNotFoundError" in out[1]
    assert "package odd-laws 1.2" in out[2] and "not a subclass" in out[2]
    assert "package named-laws 1.2" in out[3] and "'y'" in out[3]
    assert "odd-laws 1.2" in out[4] and "named-laws 1.2" in out[4] and "Remove all but one" in out[4]
    listed = "\n".join(out[5:])
    assert "installed_law  L(N, D)" in listed and "chinchilla  L(N, D)" in listed
    assert listed.count("Left out:") == 5 and "named 'kaplan'" in listed


# -- names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("Chinchilla", "chinchilla"),
        ("joint-MoE", "joint_moe"),
        ("Power Law:N", "power_law:N"),
        ("hoffmann", "chinchilla"),
        ("Hoffmann2022", "chinchilla"),
        ("besiroglu2024", "chinchilla"),
        ("kaplan2020", "kaplan"),
        ("Muennighoff", "data_constrained"),
        ("gadre2024", "over_training"),
        ("caballero", "broken_power_law"),
        ("krajewski2024", "fine_grained_moe"),
    ],
)
def test_names_without_regard_to_case_and_signs_and_by_authors(asked, name):
    assert sf.laws.get(asked).name == name


def test_every_law_is_found_by_its_own_name_in_any_spelling():
    for name in sf.laws.names():
        assert sf.laws.get(name.upper().replace("_", "-")).name == name


def test_authors_of_several_laws_are_not_guessed():
    with pytest.raises(ValueError, match="stands for 3 laws: farseer, step_law_batch, step_law_lr; none was taken"):
        sf.laws.get("li2025")


def test_a_near_miss_is_pointed_at():
    with pytest.raises(ValueError, match="Did you mean 'hoffmann'"):
        sf.laws.get("hofman")


def test_constants_are_found_by_the_law_s_key_in_any_spelling():
    assert sf.published("Hoffmann2022").constants.key == "hoffmann2022"
    assert sf.published("chinchilla", "Besiroglu2024").constants.key == "besiroglu2024"
