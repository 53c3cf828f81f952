"""What the package says of itself is said once, and is what is tested."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import scalefit as sf

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION = (ROOT / "CITATION.cff").read_text()


def test_one_version_everywhere():
    said = re.search(r"^version: (\S+)$", CITATION, re.M).group(1)
    assert sf.__version__ == PROJECT["version"] == said


def test_the_citation_can_be_read():
    yaml = pytest.importorskip("yaml", reason="the docs extra is not installed")
    record = yaml.safe_load(CITATION)
    assert record["cff-version"] == "1.2.0" and record["type"] == "software"
    assert {"message", "title", "authors", "version", "license"} <= set(record)
    assert record["license"] == PROJECT["license"]
    assert record["references"]
    assert all(one["authors"] and one["year"] and one["identifiers"] for one in record["references"])


def test_the_versions_of_python_that_are_claimed_are_those_that_are_tested():
    claimed = {c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", c)}
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    assert claimed == set(re.findall(r'python(?:-version)?: "(3\.\d+)"', workflow))
    assert PROJECT["requires-python"] == f">={min(claimed, key=lambda v: int(v.split('.')[1]))}"


def test_a_release_says_where_it_came_from():
    workflow = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    assert "attest-build-provenance" in workflow and "id-token: write" in workflow
    assert "password" not in workflow and "secrets." not in workflow  # trusted publishing keeps no token


def test_types_are_shipped():
    assert (ROOT / "scalefit" / "py.typed").exists() and "Typing :: Typed" in PROJECT["classifiers"]
