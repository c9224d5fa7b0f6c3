"""Amended protocols on a real Prefect server. The last file of this folder: it changes what the trial follows."""

from __future__ import annotations

from datetime import timedelta
from importlib import resources

from neotorch.domain.study_file import read_study
from tests.flows.world import World, until
from tests.support import activated, adopted, fact

SITE = "\nsites: [{code: S09, name: {en: other centre, zh: 另一中心}, time_zone: Asia/Shanghai, languages: [zh],"


def test_an_amendment_wakes_the_journeys_of_its_site(world: World, subject: str) -> None:
    """An activation names no patient, and yet the site's journeys look at once: who is to be asked becomes a query."""
    text = (resources.files("neotorch") / "studies" / "neotorch-breast03" / "1.1.yaml").read_text(encoding="utf-8")
    base, on = world.engine.versions().base, world.today - timedelta(4)
    first = read_study(text + SITE + " assumption: true, source: a test}]\n", "1.1.yaml", lambda _: base)
    head = 'version: "1.2"\namendment: {amends: "1.1", reason: a test, assumption: true, source: a test}\n'
    second = read_study(head + "queries: {remind_every_days: 5}\n", "1.2.yaml", lambda _: first)
    world.tell(adopted(first, on - timedelta(2)), activated("1.1", on - timedelta(2), "S09"))
    world.tell(fact("consent", on - timedelta(1), subject, site="S09", icf_version="1.1"))
    before = world.asleep(subject)
    other = world.patient(world.new_subject())
    world.tell(adopted(second, on), activated("1.2", on, "S09"))
    step = world.step(subject, "query: re-consent to version 1.2")
    assert step.flow_run_id == before.id
    assert step.state
    assert "version 1.2 is in force at S09" in (step.state.message or "")
    world.tell(fact("reconsent", world.today, subject, version="1.2"))
    world.step(subject, "query closed: reconsent/1.2")
    world.asleep(subject)
    found = until(lambda: world.run(other.name[:6]), "the run of the other site")
    assert found.run_count == other.run_count, "an amendment is no matter of another site's journeys"
