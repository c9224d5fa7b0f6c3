"""The demo as a person sees it: the real command, the real Prefect UI, a real browser."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from neotorch.engine import Engine
from neotorch.settings import load_settings

READY_SECONDS = 400
CHROME = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--window-size=1500,1300",
)  # fmt: skip


@dataclass
class Demo:
    """A demo that is running."""

    folder: Path
    ui: str
    said: str

    def ask(self, path: str, body: dict[str, Any]) -> Any:
        """Ask Prefect's API."""
        request = urllib.request.Request(
            f"{self.ui}/api{path}", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def journeys(self) -> list[dict[str, Any]]:
        """Every run of the journey flow."""
        runs: list[dict[str, Any]] = []
        while page := self.ask(
            "/flow_runs/filter", {"flows": {"name": {"any_": ["patient-journey"]}}, "limit": 200, "offset": len(runs)}
        ):
            runs += page
        return runs


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """`neotorch demo` after its live part, until the tests are over."""
    folder = tmp_path_factory.mktemp("demo")
    command = [str(Path(sys.executable).parent / "neotorch"), "demo", "--data-dir", str(folder / "data")]
    with (folder / "said").open("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, cwd=folder)
        try:
            text = _until_ready(process, folder / "said")
            yield Demo(folder / "data", re.search(r"Prefect is up: (\S+)", text)[1], text)  # type: ignore[index]
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(90) == 0, "one Ctrl-C ends all"


def _until_ready(process: subprocess.Popen[bytes], said: Path) -> str:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and process.poll() is None:
        text = said.read_text()
        if "Runs on until Ctrl-C" in text:
            return text
        time.sleep(0.5)
    pytest.fail(f"the demo was not ready:\n{said.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    """A headless Chromium."""
    driver = shutil.which("chromedriver")
    if driver is None:
        pytest.fail("no chromedriver: install Debian's packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    for argument in CHROME:
        options.add_argument(argument)
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield chrome
    chrome.quit()


def _listed(browser: webdriver.Chrome, url: str) -> list[str]:
    """Return the text of each run in a list of the UI, over all its pages."""
    browser.get(url)
    found: list[str] = []
    while True:
        WebDriverWait(browser, 60).until(lambda b: b.find_elements(By.CSS_SELECTOR, ".flow-run-list-item"))
        time.sleep(1)  # the list is filled in two steps
        found += [e.text for e in browser.find_elements(By.CSS_SELECTOR, ".flow-run-list-item")]
        body = browser.find_element(By.TAG_NAME, "body").text
        page, pages = map(int, re.search(r"Page (\d+) of (\d+)", body).groups())  # type: ignore[union-attr]
        if page == pages:
            return found
        browser.find_elements(By.CSS_SELECTOR, ".p-pager button")[-2].click()
        WebDriverWait(browser, 30).until(
            lambda b, n=page: f"Page {n + 1} of" in b.find_element(By.TAG_NAME, "body").text
        )


def test_every_journey_shows_in_the_ui_and_those_asleep_with_their_next_date(
    demo: Demo, browser: webdriver.Chrome
) -> None:
    """All 60 journeys are on the server, once each; the standard Upcoming view lists those asleep, with the right date."""
    runs = demo.journeys()
    subjects = [r["parameters"]["subject"] for r in runs]
    assert sorted(subjects) == [f"NT-{n:03d}" for n in range(1, 61)]
    assert {r["state_name"] for r in runs} <= {"Scheduled", "Completed"}
    deployment = next(d["id"] for d in demo.ask("/deployments/filter", {}) if d["name"] == "patient-journey")
    shown = _listed(browser, f"{demo.ui}/deployments/deployment/{deployment}?tab=Upcoming")
    asleep = {r["parameters"]["subject"]: r for r in runs if r["state_name"] == "Scheduled"}
    by_subject = {re.search(r"NT-\d+", text)[0]: text for text in shown}  # type: ignore[index]
    assert by_subject.keys() == asleep.keys()
    for subject, run in asleep.items():
        assert run["name"] in by_subject[subject]
        if run["start_time"] is None:  # of a run that has been awake, Prefect shows when it first was
            wake = datetime.fromisoformat(run["next_scheduled_start_time"]).astimezone(UTC)
            assert f"Scheduled for {wake:%Y/%m/%d}" in by_subject[subject]
        assert datetime.fromisoformat(run["next_scheduled_start_time"]) > datetime.now(UTC)


def test_the_next_date_is_the_one_that_the_log_says(demo: Demo) -> None:
    """Each sleeping run wakes when the engine, asked afresh, says that something will be due."""
    engine = Engine.open(load_settings(data_dir=demo.folder, quiet_hours=False))  # as the demo has it
    for run in demo.journeys():
        plan = engine.plan(run["parameters"]["subject"])
        if run["state_name"] == "Scheduled":
            assert plan.until is not None
            assert abs((datetime.fromisoformat(run["next_scheduled_start_time"]) - plan.until).total_seconds()) < 1
        else:
            assert plan.done


def test_a_journeys_graph_has_a_named_task_for_each_step(demo: Demo, browser: webdriver.Chrome) -> None:
    """A run carries what happened live as task runs that a person can read, and its page says what is awaited."""
    code, subject, item = re.search(r"(C\dD1) of (NT-\d+), held on .* without (\w+)\.", demo.said).groups()  # type: ignore[union-attr]
    run = next(r for r in demo.journeys() if r["parameters"]["subject"] == subject)
    names = {t["name"] for t in demo.ask("/task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})}
    asked = f"query: {item} missing at {code}"
    assert {f"{code} recorded", asked, f"notice: {item} missing at {code}", f"query closed: {code}/CBC"} <= names
    browser.get(f"{demo.ui}/runs/flow-run/{run['id']}")
    WebDriverWait(browser, 60).until(lambda b: run["name"] in b.find_element(By.TAG_NAME, "body").text)


def test_the_demo_says_what_fired_why_and_how_long_it_took(demo: Demo) -> None:
    """Each act prints what it led to and its times, and the end prints endpoints and addresses."""
    titles = (
        "A visit enters its window", "A form lacks an item", "The item is supplied", "A pathology report arrives",
        "A recurrence is found", "A surgery's date is corrected",
    )  # fmt: skip
    for number, title in enumerate(titles, 1):
        assert f"{number}. {title}" in demo.said
    assert demo.said.count("all the journey's steps done after") == len(titles)
    for words in (
        "rule visit.window", "query raised: ANC", "pcr: pending → yes", "→ event on day", "dates moved",
        "coordinator-mail", "investigator-mail", "investigator-web", "statistician-mail", "Clopper-Pearson", "worklist",
    ):  # fmt: skip
        assert words in demo.said
    assert "not in the inbox" not in demo.said
    assert "Traceback" not in demo.said


def test_the_notices_are_in_the_inbox(demo: Demo) -> None:
    """What arrived is kept: mails as .eml files, posts as lines of JSON."""
    mails = [p.read_text(errors="replace") for p in (demo.folder / "inbox").glob("*.eml")]
    assert len(mails) >= 5
    assert all("X-Neotorch-Key" in m for m in mails)
    assert "/investigators" in (demo.folder / "inbox" / "web.jsonl").read_text()
