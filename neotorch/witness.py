"""Heads of the log that others keep: on an export, in a mail. With one of them anybody can ask whether the log still holds it.

The head file lies beside the database, and who holds both could rewrite both. What has left the machine, they cannot.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import default

from neotorch.domain import events as ev
from neotorch.domain.errors import BadInput
from neotorch.engine import Engine
from neotorch.store.chain import Head

_HEAD = re.compile(r"^(\d{1,18}):([0-9a-f]{12,64})$")
_TOLD = re.compile(r"(\d{1,18}):([0-9a-f]{64})[\s,]+(?:hmac-sha256:([0-9a-f]{64})|not\s+signed)")


@dataclass(frozen=True)
class Kept:
    """A head that somebody kept: position, hash (or its first digits, 12 at least), and the signature if it came with one."""

    seq: int
    hash: str
    signature: str | None = None

    def __str__(self) -> str:
        """As on an export."""
        return f"{self.seq}:{self.hash}"


def read_head(text: str) -> Kept:
    """Return the head as it stands on an export, `SEQ:HASH`; BadInput if it is none."""
    if match := _HEAD.match(text.strip()):
        return Kept(int(match[1]), match[2])
    todo = "Give it as the export has it, such as 812:9f2c41d0a7b3e655."
    raise BadInput(f"{text!r} is no head of a log", "--head", todo)


def read_notice(data: bytes, name: str) -> Kept:
    """Return the head that a notice tells: the mail as it was saved (.eml), or its text; BadInput if there is none."""
    body = message_from_bytes(data, policy=default).get_body(("plain",))
    text = data.decode(errors="replace")
    if body is not None and not _TOLD.search(text):
        text = str(body.get_content())
    if match := _TOLD.search(text):
        return Kept(int(match[1]), match[2], match[3])
    raise BadInput("tells no head of a log", name, "Save the whole notice `Log head of ...` as a file and name that.")


def sign(key: str, study: str, head: Head) -> str:
    """Return HMAC-SHA256 (hex) over study and head: who has the key can tell a notice of ours from another."""
    return hmac.new(key.encode(), f"neotorch head {study} {head.seq}:{head.hash}".encode(), hashlib.sha256).hexdigest()


def wrong_with(engine: Engine, kept: Kept) -> str | None:
    """Say what is wrong with a kept head: not signed with our key, or not in the log any more. None: nothing."""
    key, head = engine.settings.head_key, Head(kept.seq, kept.hash)
    if key and kept.signature:
        signature = sign(key.get_secret_value(), engine.study.id, head)
        if not hmac.compare_digest(signature, kept.signature):
            return f"{kept} is not signed with the key of NEOTORCH_HEAD_KEY: another key, or a forged notice"
    stored = engine.log.head_at(kept.seq)
    if stored is None:
        return f"the log does not hold {kept}: it ends at {engine.head()}"
    if not stored.hash.startswith(kept.hash):
        return f"the log does not hold {kept}: it was written anew, there or before; it says {stored.hash}"
    return None


def told(engine: Engine) -> bool:
    """Record the present head for the operators to be told, once a day; False if it was today, or the log is empty."""
    head, key = engine.log.head(), engine.settings.head_key
    if not head.seq:
        return False
    signed = f"hmac-sha256:{sign(key.get_secret_value(), engine.study.id, head)}" if key else "not signed"
    effects = engine.effects(None)
    common = effects.common(f"incident/{ev.LOG_HEAD}/{engine.today()}")
    return effects.append(ev.Incident(**common, kind=ev.LOG_HEAD, detail=f"{head.seq}:{head.hash}, {signed}"))
