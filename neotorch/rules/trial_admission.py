"""What a fact about the trial or its people must satisfy before it may enter the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta

from pydantic import ValidationError

from neotorch.domain import events as ev
from neotorch.domain.study import Study
from neotorch.domain.study_file import number
from neotorch.rules.desk import PLANS_AHEAD, Refusal
from neotorch.rules.identifiers import identifying

LONGEST_ABSENCE = timedelta(days=400)


def admit_trial(
    fact: ev.AnyTrialFact, earlier: Iterable[ev.AnyTrialFact], study: Study, channels: Iterable[str], today: date
) -> tuple[Refusal, ...]:
    """Return all reasons against taking `fact` now.

    `earlier`: those in force; `study`: the version that the log began with; `channels`: names in the settings.
    """
    known = list(earlier)
    return (*_common(fact, known, study), *_own(fact, sorted(channels), today), *_version(fact, known, study, today))


def _common(fact: ev.AnyTrialFact, earlier: Iterable[ev.AnyTrialFact], study: Study) -> Iterator[Refusal]:
    if fact.id.startswith(ev.ENGINE_ID):
        yield Refusal("id", f"ids that begin with {ev.ENGINE_ID!r} are the engine's own", "give it another id")
    yield from identifying(fact)
    if fact.study != study.id:
        yield Refusal("study", f"{fact.study!r} is not the study {study.id!r} of this log", f"write {study.id}")
    if fact.corrects is None:
        return
    if not fact.reason:
        yield Refusal("reason", "a correction needs a reason", "say why in `reason` (ICH E6(R3) 4.2.4)")
    kin = [f.id for f in earlier if f.type == fact.type]
    if fact.corrects not in kin:
        todo = f"name one of {', '.join(kin) or 'none so far'}"
        yield Refusal("corrects", f"{fact.corrects!r} is no {fact.type} in force", todo)


def _own(fact: ev.AnyTrialFact, channels: list[str], today: date) -> Iterator[Refusal]:
    match fact:
        case ev.Absence():
            for field, name in (("channel", fact.channel), ("deputy", fact.deputy)):
                if name not in channels:
                    known = ", ".join(channels) or "none so far"
                    yield Refusal(field, f"no channel is called {name!r}", f"the settings have: {known}")
            if fact.channel == fact.deputy:
                yield Refusal("deputy", "nobody can stand in for themselves", "name another channel")
            if not fact.occurred <= fact.until <= fact.occurred + LONGEST_ABSENCE:
                yield Refusal("until", f"{fact.until} does not follow on {fact.occurred}", "correct one of the two")
            if abs(fact.occurred - today) > PLANS_AHEAD:
                yield Refusal("occurred", f"{fact.occurred} is far from today ({today})", "correct the year")
        case ev.NoticesReleased():
            if not fact.reason:
                yield Refusal("reason", "letting held notices go needs a reason", "say in `reason` what you have seen")
            if fact.occurred > today:
                yield Refusal("occurred", f"{fact.occurred} is in the future (today is {today})", "write today's date")


def _version(fact: ev.AnyTrialFact, earlier: Sequence[ev.AnyTrialFact], study: Study, today: date) -> Iterator[Refusal]:
    adopted = {f.version: f for f in earlier if isinstance(f, ev.ProtocolAmended)}
    match fact:
        case ev.ProtocolAmended():
            yield from _adoption(fact, [study.version, *adopted], study)
        case ev.AmendmentActivated():
            yield from _activation(fact, adopted, earlier, today)
        case ev.TrialRetraction():
            yield from _retraction(fact, earlier)


def _retraction(fact: ev.TrialRetraction, earlier: Sequence[ev.AnyTrialFact]) -> Iterator[Refusal]:
    if not fact.reason:
        yield Refusal("reason", "taking a fact back needs a reason", "say why in `reason` (ICH E6(R3) 4.2.4)")
    open_to_it = {f.id: f for f in earlier if isinstance(f, ev.Absence | ev.AmendmentActivated)}
    target = open_to_it.get(fact.retracts)
    if target is None:
        todo = f"name one of {', '.join(open_to_it) or 'none so far'}"
        yield Refusal("retracts", f"{fact.retracts!r} is no absence or activation in force", todo)
    for later in (
        f for f in earlier if isinstance(f, ev.AmendmentActivated) and isinstance(target, ev.AmendmentActivated)
    ):
        if later.site == target.site and number(later.version) > number(target.version):  # type: ignore[union-attr]
            what = f"{later.version} came into force at {later.site} after it"
            yield Refusal("retracts", what, f"take back {later.id} first")


def _adoption(fact: ev.ProtocolAmended, versions: Sequence[str], study: Study) -> Iterator[Refusal]:
    newest = max(versions, key=number)
    if fact.corrects is not None:
        yield Refusal("corrects", "what was adopted stays as it is", "amend it with the next version")
    elif fact.version in versions:
        yield Refusal("version", f"{fact.version} has been adopted already", "give the amendment the next version")
    elif fact.amends != newest:
        yield Refusal("amends", f"{fact.amends} is not the newest version", f"amend {newest}")
    try:
        found = Study.model_validate(fact.definition)
    except ValidationError as error:
        path = ".".join(str(p) for p in error.errors()[0]["loc"])
        yield Refusal(
            f"definition.{path}".rstrip("."), error.errors()[0]["msg"], "mend the study file; neotorch amend reads it"
        )
        return
    said = (found.id, found.version, found.amendment.amends if found.amendment else None)
    if said != (study.id, fact.version, fact.amends):
        yield Refusal(
            "definition", f"it is {said[0]} {said[1]}, amending {said[2]}", "give study, version and amends so"
        )
    for site in study.sites:
        if site.code not in {s.code for s in found.sites}:
            yield Refusal(
                "definition.sites", f"{site.code} is gone, and its patients stay", "leave the site in the file"
            )


def _activation(
    fact: ev.AmendmentActivated,
    adopted: Mapping[str, ev.ProtocolAmended],
    earlier: Sequence[ev.AnyTrialFact],
    today: date,
) -> Iterator[Refusal]:
    target = adopted.get(fact.version)
    if target is None:
        yield Refusal(
            "version", f"{fact.version} has not been adopted", f"adopted: {', '.join(adopted) or 'none so far'}"
        )
        return
    sites = [s.get("code") for s in target.definition.get("sites", ()) if isinstance(s, dict)]  # type: ignore[union-attr]
    if fact.site not in sites:
        yield Refusal(
            "site", f"{fact.site!r} is no site of version {fact.version}", f"use one of {', '.join(map(str, sites))}"
        )
    if fact.occurred > today:
        todo = "record it on the day it comes into force"
        yield Refusal("occurred", f"{fact.occurred} is in the future (today is {today})", todo)
    for other in (f for f in earlier if isinstance(f, ev.AmendmentActivated) and f.site == fact.site):
        if other.version == fact.version and fact.corrects is None:
            todo = f"to change the day, record it with corrects: {other.id} and a reason"
            yield Refusal("version", f"{fact.version} is in force at {fact.site} since {other.occurred}", todo)
        if number(other.version) < number(fact.version) and fact.occurred < other.occurred:
            what = f"{fact.occurred} is before {other.version} came into force there ({other.occurred})"
            yield Refusal("occurred", what, "correct one of the two days")
        if number(other.version) > number(fact.version) and fact.occurred >= other.occurred:
            what = f"{other.version} is in force there since {other.occurred}, and it comes after {fact.version}"
            yield Refusal("version", what, "activate the newest version only")
