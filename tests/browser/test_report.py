"""The report as a person sees it: in a real browser, and printed by it."""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from neotorch.report.content import gather
from neotorch.report.page import render
from neotorch.simulation import simulate
from tests.support import Trial, study

CHROME = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--window-size=1280,1000",
)  # fmt: skip
NOW = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
A4_MM = (210, 297)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a synthetic trial of 24 patients."""
    folder = tmp_path_factory.mktemp("report")
    trial = Trial(folder, now=NOW)
    trial.tell(*(d.fact for d in simulate(study(), patients=24, seed=7, until=date(2026, 11, 22))))
    trial.engine.recalculate("event")
    (folder / "report.html").write_text(render(gather(trial.engine)), encoding="utf-8")
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser(page: Path) -> Iterator[webdriver.Chrome]:
    """A headless Chromium that has opened it."""
    driver = shutil.which("chromedriver")
    if driver is None:
        pytest.fail("no chromedriver: install Debian's packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    for argument in CHROME:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    chrome.get(page.as_uri())
    yield chrome
    chrome.quit()


def test_the_page_opens_without_a_word_in_the_console(browser: webdriver.Chrome) -> None:
    """No error, no warning, nothing that could not be loaded."""
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]


def test_every_figure_is_to_be_seen(browser: webdriver.Chrome) -> None:
    """Each has a size, fills the text column and has text in it that is large enough to read."""
    drawn = browser.find_elements(By.CSS_SELECTOR, "figure > svg")
    assert len(drawn) >= 8
    for svg in drawn:
        assert svg.is_displayed()
        assert svg.size["width"] > 700 and svg.size["height"] > 80
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('figure svg text')].map(t => t.getBoundingClientRect())"
        ".map(r => Math.min(r.width, r.height)).filter(x => x > 0)"
    )
    assert min(sizes) > 6


def test_nothing_runs_over_at_1280_pixels(browser: webdriver.Chrome) -> None:
    """The page does not scroll sideways, and no text of a figure is cut at its edge."""
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 1280
    cut = browser.execute_script("""
        const out = [];
        for (const svg of document.querySelectorAll('figure > svg')) {
            const box = svg.getBoundingClientRect();
            for (const text of svg.querySelectorAll('text')) {
                const r = text.getBoundingClientRect();
                if (r.left < box.left - 1 || r.right > box.right + 1 || r.top < box.top - 2 || r.bottom > box.bottom + 2)
                    out.push(text.textContent);
            }
        }
        return out;
    """)
    assert cut == []


def test_it_prints_on_a4_without_running_over(browser: webdriver.Chrome) -> None:
    """Printed by the browser, every page is A4 and no table is wider than its page."""
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    browser.set_window_size(643, 1000)  # 170 mm, the text width of the page, at 96 pixels an inch
    wide = browser.execute_script(
        "return [...document.querySelectorAll('table, figure')].filter(t => t.getBoundingClientRect().width > "
        "document.body.getBoundingClientRect().width + 1).length"
    )
    assert wide == 0
    answer = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    data = base64.b64decode(answer["data"])
    boxes = {
        tuple(round(float(x) * 25.4 / 72) for x in m) for m in re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", data)
    }
    assert boxes == {A4_MM}
