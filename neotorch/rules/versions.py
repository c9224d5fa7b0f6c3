"""Which version of the protocol is in force for whom: per site from its approval on, per patient from re-consent on.

What lay behind a patient on the day they moved stays under the version they were on: visits held or over by then keep
their windows and forms, and dated facts are judged by the rules of their day. Figures of the trial as a whole, and who
is told what, follow the newest version in force at any site.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from neotorch.domain import events as ev
from neotorch.domain.state import PatientState
from neotorch.domain.study import DrugDefinition, Due, Era, Form, Offer, Study, Visit
from neotorch.domain.study_file import number
from neotorch.rules.desk import Refusal
from neotorch.rules.post import effective
from neotorch.rules.schedule import VisitPlan, settled, visit_plans


@dataclass(frozen=True)
class Versions:
    """The base version, what has been adopted since, and where and since when each is in force."""

    base: Study
    adopted: Mapping[str, Study] = field(default_factory=dict)
    activations: tuple[ev.AmendmentActivated, ...] = ()
    rows: tuple[ev.Recorded, ...] = ()
    """What the log says of versions."""

    @classmethod
    def of(cls, base: Study, rows: Iterable[ev.Recorded], read: Callable[[ev.ProtocolAmended], Study]) -> Versions:
        """Return the versions that the log speaks of; `read` makes a study of a definition."""
        kept = tuple(rows)
        told = effective(r.event for r in kept if isinstance(r.event, ev.TrialFact))
        adopted = {f.version: read(f) for f in told if isinstance(f, ev.ProtocolAmended)}
        active = (f for f in told if isinstance(f, ev.AmendmentActivated) and f.version in adopted)
        return cls(base, adopted, tuple(sorted(active, key=lambda f: (f.occurred, number(f.version), f.id))), kept)

    @cached_property
    def positions(self) -> Mapping[str, int]:
        """Site -> log position of the newest word about what is in force there: its patients' journeys look then."""
        site_of: dict[str, str] = {}
        found: dict[str, int] = {}
        for row in self.rows:
            if isinstance(row.event, ev.AmendmentActivated):
                site_of[row.event.id] = row.event.site
            before = row.event.retracts if isinstance(row.event, ev.TrialRetraction) else row.event.corrects
            found |= {site_of[i]: row.seq for i in (before, row.event.id) if i in site_of}
        return found

    @cached_property
    def newest(self) -> Study:
        """The newest version adopted; the next amendment amends it."""
        return max((self.base, *self.adopted.values()), key=lambda s: number(s.version))

    @cached_property
    def trial(self) -> Study:
        """What the figures of the trial as a whole follow: the newest version in force anywhere."""
        return max((self.base, *(self.adopted[a.version] for a in self.activations)), key=lambda s: number(s.version))

    def version(self, name: str) -> Study | None:
        """Return a version by its name."""
        return self.base if name == self.base.version else self.adopted.get(name)

    def at_site(self, site: str | None, day: date) -> Study:
        """Return the version that a patient is entered under at a site on a day."""
        active = [self.adopted[a.version] for a in self.activations if a.site == site and a.occurred <= day]
        return max((self.base, *active), key=lambda s: number(s.version))

    def supposing(self, amendment: Study, sites: Iterable[str], day: date) -> Versions:
        """Return the versions as if the amendment came into force at the sites on `day` and all patients moved at once."""
        assert amendment.amendment is not None
        moves = amendment.for_patient(amendment=amendment.amendment.model_copy(update={"reconsent": False}))
        told = [
            ev.AmendmentActivated(
                id=f"supposed/{amendment.version}/{s}", study=amendment.id, occurred=day, version=amendment.version, site=s
            )
            for s in sites
        ]  # fmt: skip
        return Versions(self.base, {**self.adopted, amendment.version: moves}, (*self.activations, *told), self.rows)

    def for_patient(self, state: PatientState) -> Study:
        """Return what holds for a patient; the same object for the same state."""
        if not self.adopted:
            return self.base
        return state.once("versions", (self,), lambda: self._for_patient(state))

    def _for_patient(self, state: PatientState) -> Study:
        moves = self._moves(state)
        found = moves[0][1]
        eras = [Era(None, found)]
        for day, study in moves[1:]:
            found = _moved(state, found, study, day)
            eras.append(Era(day, study))
        offers = self._offers(state, found)
        if len(eras) == 1 and not offers and found is self.trial:
            return found
        rules = [Era(e.since, _seen_from(e.rules, found)) for e in eras] if len(eras) > 1 else []
        return found.for_patient(
            eras=rules, offers=offers, older=found.older,
            endpoints=self.trial.endpoints, recipients=self.trial.recipients, subject_pattern=moves[0][1].subject_pattern,
        )  # fmt: skip

    def _moves(self, state: PatientState) -> list[tuple[date, Study]]:
        """Return (day, version) for entry and for each move to a later version, in order."""
        entry = state.consent.occurred if state.consent else date.max
        found = [(entry, self.at_site(state.site, entry))]
        for told in (*state.reconsents, None):
            found += self._without_asking(state, *found[-1], before=told.occurred if told else None)
            study = self._agreed(state, told) if told and told.agreed and told.occurred >= entry else None
            if told and study and number(study.version) > number(found[-1][1].version):
                found.append((told.occurred, study))
        return found

    def _agreed(self, state: PatientState, told: ev.Reconsent) -> Study | None:
        """Return the version that a patient agreed to, if it was in force at their site by then."""
        active = [a for a in self.activations if (a.site, a.version) == (state.site, told.version)]
        return self.adopted[told.version] if any(a.occurred <= told.occurred for a in active) else None

    def _without_asking(
        self, state: PatientState, since: date, now: Study, before: date | None
    ) -> Iterator[tuple[date, Study]]:
        """Yield the moves of a patient on `now` to amendments of it that need no consent, one after the other."""
        for active in self.activations:
            study, day = self.adopted[active.version], max(active.occurred, since)
            said = study.amendment
            if active.site != state.site or said is None or said.reconsent or (before and day >= before):
                continue
            if said.amends == now.version:
                since, now = day, study
                yield day, study

    def _offers(self, state: PatientState, now: Study) -> list[Offer]:
        """Return what the patient has yet to be asked: only the newest amendment in force at the site."""
        asked = {r.version for r in state.reconsents if not r.agreed or self._agreed(state, r)}
        later = [a for a in self.activations if a.site == state.site and number(a.version) > number(now.version)]
        newest = max(later, key=lambda a: number(a.version), default=None)
        if newest is None or newest.version in asked:
            return []
        return [Offer(newest.version, newest.occurred, newest.id)]


def _moved(state: PatientState, old: Study, new: Study, day: date) -> Study:
    """Return the new version for a patient who moved to it on `day`: what lay behind then stays as it was."""
    before = visit_plans(state, old, day)
    behind = {p.code: p.visit for p in before if _over(p, state, day)}
    known = {p.code for p in before}
    late = {p.code for p in visit_plans(state, new, day) if p.code not in known and _over(p, state, day)}
    ended = settled(state, old)
    over = ended is not None and ended[0] < day  # a course that was over is not taken up again
    cycles = old.cycles if over else new.cycles
    forms = {f.code: f for f in _forms(old, new)}
    kept = {code: _pinned(visit, old, forms) for code, visit in behind.items()}
    coming = [v for v in new.visits if v.code not in late and not (over and (v.cycle or 0) > cycles.count)]
    visits = [kept.get(v.code) or _pinned(v, new, forms) for v in coming]
    codes = [v.code for v in visits]
    for place, plan in enumerate(before):
        if (
            plan.code in kept and plan.code not in codes
        ):  # the amendment removed it, for those who had yet to come to it
            at = next((codes.index(p.code) + 1 for p in reversed(before[:place]) if p.code in codes), 0)
            codes.insert(at, plan.code)
            visits.insert(at, kept[plan.code])
    gone = known - set(codes)
    return new.for_patient(
        older={**old.older, **{code: old.rules_of(code) for code in {*behind, *gone}}},
        visits=visits, forms=list(forms.values()), cycles=cycles, drugs=_drugs(new, old),
        reminders=new.reminders.model_copy(update={"ladders": old.reminders.ladders | new.reminders.ladders}),
    )  # fmt: skip


def _over(plan: VisitPlan, state: PatientState, day: date) -> bool:
    """Whether a visit lay behind on the day of a move: held before it, said to be missed, waived, or its window closed."""
    if plan.held_on:
        return plan.held_on < day
    said = state.missed.get(plan.code) or state.waived.get(plan.code)
    return (said is not None and said.occurred < day) or (plan.protocol is not None and plan.protocol.closes < day)


def _drugs(rules: Study, other: Study) -> list[DrugDefinition]:
    """Return the drugs of one version and those that only the other one knows, planned in none of its cycles."""
    more = (d for d in other.drugs if d.code not in rules.drug_by_code)
    return [*rules.drugs, *(d.model_copy(update={"cycles": []}) for d in more)]


def _pinned(visit: Visit, study: Study, forms: Mapping[str, Form]) -> Visit:
    """Return the visit with the items of its forms written out where the other version has more of them."""
    due = [
        Due(form=d.form, items=list(own), within_days=d.within_days, of=d.of)
        if not d.items and (own := study.form_by_code[d.form].items).keys() != forms[d.form].items.keys()
        else d
        for d in visit.due
    ]
    return visit if due == visit.due else visit.model_copy(update={"due": due})


def _forms(old: Study, new: Study) -> list[Form]:
    """Return the new version's forms with what only the old one has."""
    found = [
        f.model_copy(update={"items": old.form_by_code[f.code].items | f.items}) if f.code in old.form_by_code else f
        for f in new.forms
    ]  # fmt: skip
    return [*found, *(f for f in old.forms if f.code not in new.form_by_code)]


def _seen_from(rules: Study, now: Study) -> Study:
    """Return one version's rules about the visits, forms and drugs that hold for the patient now."""
    older = {v.code: now.rules_of(v.code) for v in now.visits}  # `rules` has a version of its own, the visits may not
    return rules.for_patient(
        older=older, visits=now.visits, forms=now.forms, reminders=now.reminders, drugs=_drugs(rules, now)
    )


def reconsent_refusals(fact: ev.AnyFact, state: PatientState, versions: Versions) -> Iterator[Refusal]:
    """Yield the reasons against a re-consent: its version has to be in force at the site, and be new to the patient."""
    if not isinstance(fact, ev.Reconsent):
        return
    active = {a.version: a.occurred for a in versions.activations if a.site == state.site}
    since = active.get(fact.version)
    known = ", ".join(f"{v} since {d}" for v, d in active.items()) or "none so far"
    if since is None:
        todo = f"in force there: {known}; neotorch amend activates one"
        yield Refusal("version", f"{fact.version} is not in force at {state.site}", todo)
    elif fact.occurred < since:
        todo = "correct one of the two days"
        yield Refusal(
            "occurred", f"{fact.occurred} is before {fact.version} came into force at {state.site} ({since})", todo
        )
    elif fact.corrects is None:
        then = versions.for_patient(state).on(fact.occurred).version
        if number(fact.version) <= number(then):
            yield Refusal(
                "version", f"{state.subject} was on {then} already on {fact.occurred}", "nothing is left to do"
            )
