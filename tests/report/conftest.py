"""A table of 240 runs with hostile names, its report, and a headless browser to look at it with."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
from hostile_runs import grid

import scalefit as sf

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


@pytest.fixture(scope="session")
def runs() -> pd.DataFrame:
    return grid()


@pytest.fixture(scope="session")
def made(runs):
    return sf.report(runs, title="Runs & <b>names</b>")


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium, headless; the tests that need it are skipped, visibly, where it or Playwright is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the browser tests need: pip install playwright")
    path = os.environ.get("SCALEFIT_CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)
    if path is None:
        pytest.skip("the browser tests need Debian's chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


class Tab:
    """One page in the browser, with everything it logged and asked for."""

    def __init__(self, browser, file: Path, **options) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.dialogs: list[str] = []
        self.page.on("console", lambda message: self.errors.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        self.url = file.as_uri()
        self.page.goto(self.url)

    def assert_quiet(self, downloads: bool = False) -> None:
        """Assert that nothing was logged, no window opened, and nothing asked of a network."""
        assert self.errors == [] and self.dialogs == []
        made = ("data:", "blob:") if downloads else ()
        assert [url for url in self.requests if not url.startswith(made)] == [self.url]

    def settle(self) -> None:
        """Wait until the planner has answered: it does so in the next frame."""
        self.page.evaluate("() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")

    def ask(self, C=None, inference=None, unique=None, level=None, model="law") -> dict[str, float]:
        """Type values into the planner, as a person does, and read its answers at full precision."""
        if self.page.locator(f"#model input[value={model}]").count():
            self.page.check(f"#model input[value={model}]")
        for key, value in (("C", C), ("inference", inference), ("unique", unique)):
            if value is not None:
                self.page.fill(f"#{key}-typed", str(value))
                self.page.dispatch_event(f"#{key}-typed", "change")
        if level is not None:
            self.page.select_option("#level", repr(level))
        return self.answers()

    def answers(self) -> dict[str, float]:
        self.settle()
        read = "() => Object.fromEntries([...document.querySelectorAll('#answers data')].map((d) => [d.id, d.value]))"
        return {key.removeprefix("out-"): float(value) for key, value in self.page.evaluate(read).items() if value}


@pytest.fixture
def open_tab(browser, tmp_path):
    """Open a report in a page of its own."""
    tabs = []

    def open_(report, **options) -> Tab:
        file = tmp_path / f"report{len(tabs)}.html"
        report.save(file)
        tabs.append(Tab(browser, file, **options))
        return tabs[-1]

    yield open_
    for tab in tabs:
        tab.context.close()
