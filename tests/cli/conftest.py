"""The command line run in this process."""

from __future__ import annotations

import warnings

import pytest

import scalefit as sf
from scalefit.cli import main


@pytest.fixture
def run(capsys):
    """Run a command: the code it exits with, and what it printed on stdout and stderr."""

    def call(*words):
        with warnings.catch_warnings():
            warnings.simplefilter("default", sf.ScalefitWarning)  # the command line prints them
            with pytest.raises(SystemExit) as stop:
                main([str(word) for word in words])
        done = capsys.readouterr()
        assert "Traceback" not in done.err + done.out
        return stop.value.code, done.out, done.err

    return call
