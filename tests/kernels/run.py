"""Same answers on every processor: the numeric core under the linear-algebra kernels of other machines.

``python tests/kernels/run.py`` computes :mod:`answers` once per kernel and compares: numbers to 1e-9, verdicts,
actions, notes and printed text exactly. Then it runs the tests of the numeric core under each kernel.
``--tests-under Prescott`` runs them under that kernel alone (the oldest, which every processor can run), and
``--only-answers`` leaves them out.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FOLDERS = ("fitting", "comparison", "planning", "stopping", "memory")
TOLERANCE = 1e-9


def environments() -> dict[str, dict[str, str]]:
    """What to set for each kernel that this processor can run, and for numpy without its own dispatch."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return {"this processor": {}}
    kernels = ["Prescott", "Haswell"]
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    if "avx512f" in flags:
        kernels.append("SkylakeX")
    else:
        print("SkylakeX: left out, this processor has no AVX-512")
    found = {name: {"OPENBLAS_CORETYPE": name} for name in kernels}
    code = (
        "from numpy._core import _multiarray_umath as m; f = m.__cpu_features__; "
        "print(' '.join(k for k in m.__cpu_dispatch__ if f.get(k)))"
    )
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if asked.returncode == 0 and asked.stdout.strip():
        found["numpy held down"] = {"NPY_DISABLE_CPU_FEATURES": asked.stdout.strip()}
    else:
        print("numpy held down: left out, this numpy has nothing to hold down")
    return found


def differences(first: Any, second: Any, where: str = "") -> Iterator[str]:
    """Where two answers differ."""
    if isinstance(first, dict) and isinstance(second, dict) and first.keys() == second.keys():
        for key in first:
            yield from differences(first[key], second[key], f"{where} / {key}")
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for k, (a, b) in enumerate(zip(first, second, strict=True)):
            yield from differences(a, b, f"{where}[{k}]")
    elif isinstance(first, float) and isinstance(second, float):
        if not math.isclose(first, second, rel_tol=TOLERANCE, abs_tol=1e-12):
            yield f"{where}: {first!r} and {second!r}"
    elif first != second:
        yield f"{where}: {first!r} and {second!r}"


def main(tests_under: str | None = None, only_answers: bool = False) -> int:
    """Compare the answers, then run the tests, under all kernels, one or none; 0 if all agree and pass."""
    failed = 0
    answers: dict[str, Any] = {}
    settings = environments()
    for name, setting in settings.items():
        command = [sys.executable, str(HERE / "answers.py")]
        done = subprocess.run(command, cwd=ROOT, env=os.environ | setting, capture_output=True, text=True)
        if done.returncode:
            print(f"{name}: {done.stderr.strip().splitlines()[-1]}")
            failed += 1
        else:
            answers[name] = json.loads(done.stdout)
    reference = next(iter(answers), "")
    for name in list(answers)[1:]:
        found = list(differences(answers[reference], answers[name]))
        print(f"answers under {name}: {len(found)} differ from those under {reference}")
        for line in found[:10]:
            print(f"  {line[:500]}")
        failed += bool(found)
    folders = [str(ROOT / "tests" / name) for name in FOLDERS]
    if tests_under not in (None, *settings):
        print(f"tests under {tests_under}: left out, this processor cannot run it")
    for name, setting in settings.items():
        if not only_answers and tests_under in (None, name):
            print(f"tests of the numeric core under {name}", flush=True)
            began = time.monotonic()
            hidden = {"SCALEFIT_HIDE_TORCH": "1"} | setting
            command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-m", "not slow and not gpu", *folders]
            failed += bool(subprocess.run(command, cwd=ROOT, env=os.environ | hidden).returncode)
            print(f"  {time.monotonic() - began:.0f} s", flush=True)
    print("kernels: " + (f"{failed} of the above failed" if failed else "all agree"))
    return int(bool(failed))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tests-under", help="the one kernel to run the tests under")
    parser.add_argument("--only-answers", action="store_true", help="run no tests")
    arguments = parser.parse_args()
    sys.exit(main(arguments.tests_under, arguments.only_answers))
