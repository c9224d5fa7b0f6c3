"""Events stored in an older version are read in the current one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from neotorch.domain import upcast as module
from neotorch.domain.errors import NeotorchError
from neotorch.domain.events import Contact
from neotorch.domain.upcast import UnknownEvent, parse_event, upcast

OLD = {
    "type": "contact",
    "v": 0,
    "id": "c1",
    "study": "S1",
    "subject": "NT-001",
    "occurred": "2026-03-04",
    "how": "tel",
}


def _from_0(body: dict[str, Any]) -> dict[str, Any]:
    """As version 1 would have replaced `how` by `by`."""
    rest = {key: value for key, value in body.items() if key != "how"}
    return {**rest, "v": 1, "by": {"tel": "phone"}[body["how"]]}


def test_an_old_version_is_brought_to_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stored body stays as it is; what is read is the current type."""
    monkeypatch.setitem(module.UPCASTERS, ("contact", 0), _from_0)
    event = parse_event("contact", json.dumps(OLD))
    assert event == Contact(id="c1", study="S1", subject="NT-001", occurred="2026-03-04", by="phone")


def test_upcasters_chain_across_a_renamed_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step leads to the next until a current version is reached."""
    monkeypatch.setitem(module.UPCASTERS, ("phone_call", 1), lambda body: {**body, "type": "contact", "v": 0})
    monkeypatch.setitem(module.UPCASTERS, ("contact", 0), _from_0)
    assert upcast({**OLD, "type": "phone_call", "v": 1})["by"] == "phone"


def test_upcasters_that_lead_in_a_circle_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry gone wrong is an error, not an endless loop."""
    monkeypatch.setitem(module.UPCASTERS, ("contact", 0), lambda body: body)
    with pytest.raises(UnknownEvent, match="version 0"):
        upcast(OLD)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"v": 7}, "version 7"),
        ({"type": "teleport"}, "no such type"),
        ({"v": 1}, "how"),
        ({"v": "1"}, "version '1'"),
    ],
)
def test_an_event_that_cannot_be_read_names_its_place(change: dict[str, Any], words: str) -> None:
    """The error says where in the log it stands and what is wrong with it."""
    body = {**OLD, **change}
    with pytest.raises(UnknownEvent, match=words) as refused:
        parse_event(str(body["type"]), json.dumps(body), "log of S1, seq 12")
    assert "seq 12" in str(refused.value)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"type": []}'])
def test_a_body_that_is_no_event_is_told(text: str) -> None:
    """Broken JSON is an error of ours, never a traceback of a library."""
    with pytest.raises(NeotorchError, match="seq 12"):
        parse_event("contact", text, "log of S1, seq 12")
