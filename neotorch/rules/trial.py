"""The trial as a whole: what the last recorded result was, how a new one differs, and who is told."""

from __future__ import annotations

from collections.abc import Iterable

from neotorch.domain import events as ev
from neotorch.domain.growth import grown_notices
from neotorch.domain.state import NoticeTrail
from neotorch.domain.study import Study
from neotorch.rules.endpoints.monitoring import crossing_key
from neotorch.rules.endpoints.values import HIDDEN
from neotorch.rules.notices import Notice
from neotorch.rules.schedule import Because
from neotorch.rules.wording import boundary_words


def fold_trial(recorded: Iterable[ev.Recorded]) -> dict[str, NoticeTrail]:
    """Return the notice trails of the trial's own notices."""
    return grown_notices({}, (r for r in recorded if r.event.subject is None))


def trial_notices(recorded: Iterable[ev.Recorded], study: Study) -> Iterable[Notice]:
    """Yield a notice per recalculation that changed a patient's value, per boundary crossed or not any more, per incident."""
    for row in recorded:
        event = row.event
        because = Because("trial.tell", study.version, event_ids=(event.id,), detail=event.type.replace("_", " "))
        if isinstance(event, ev.EndpointsRecalculated):
            patients = [c for c in event.changes if c.subject]
            if patients:
                first = f"{patients[0].subject} {patients[0].field}" + (
                    f" +{len(patients) - 1}" if len(patients) > 1 else ""
                )
                data: dict[str, object] = {"changes": [c.model_dump() for c in event.changes], "what": first}
                yield Notice(f"{event.id}/told", "endpoint", f"notice: endpoints changed ({first})", because, data)
        elif isinstance(event, ev.BoundaryCrossed | ev.BoundaryWithdrawn):
            yield _boundary_notice(event, because, study)
        elif isinstance(event, ev.Incident) and event.kind == ev.LOG_HEAD:
            data = {"what": event.detail, "occurred": event.occurred}
            roles = tuple(study.recipients.tell["incident"])
            yield Notice(
                f"{event.id}/told", "head", f"notice: log head of {event.occurred}", because, data, roles=roles
            )
        elif isinstance(event, ev.Incident):
            data = {"what": f"{event.kind}: {event.detail}"}
            yield Notice(f"{event.id}/told", "incident", f"notice: incident {event.kind}", because, data)


def _boundary_notice(event: ev.BoundaryCrossed | ev.BoundaryWithdrawn, because: Because, study: Study) -> Notice:
    on = event.on if isinstance(event, ev.BoundaryCrossed) else None
    data: dict[str, object] = {
        "state": "crossed" if on else "withdrawn", "what": boundary_words(event, study),
        "boundary": crossing_key(event.rule, event.n), "occurred": on,
    }  # fmt: skip
    title = f"notice: boundary {event.rule} at {event.n} {'crossed' if on else 'no longer crossed'}"
    return Notice(f"{event.id}/told", "boundary", title, because, data)


OF_PATHOLOGY = ("pcr", "rcb", "rcb01")


def displayed(changes: Iterable[ev.EndpointChange], study: Study) -> Iterable[ev.EndpointChange]:
    """Yield changes as artifacts and incidents may say them: no value while the read that counts may not be shown."""
    shown = study.recipients.read(study.endpoints.reference_read).shown
    for change in changes:
        if shown or change.field.partition(".")[0] not in OF_PATHOLOGY:
            yield change
        else:
            hidden = {name: HIDDEN for name in ("old", "new") if getattr(change, name) is not None}
            yield change.model_copy(update=hidden)


def apply_changes(values: dict[str, str], changes: Iterable[ev.EndpointChange]) -> None:
    """Bring `values` (field -> value, patients' as NT-007/pcr) up to date, in place."""
    for change in changes:
        name = f"{change.subject}/{change.field}" if change.subject else change.field
        if change.new is None:
            values.pop(name, None)
        else:
            values[name] = change.new


def diff_values(old: dict[str, str], new: dict[str, str]) -> tuple[ev.EndpointChange, ...]:
    """Return how `new` differs from `old`, by name."""
    found = []
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            subject, _, last = name.rpartition("/")
            found.append(ev.EndpointChange(subject=subject or None, field=last, old=old.get(name), new=new.get(name)))
    return tuple(found)
