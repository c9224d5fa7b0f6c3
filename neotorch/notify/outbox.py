"""Where notices go for whom no channel is configured: one .eml file per notice, to be opened with any mail program."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path

from neotorch.notify.message import Message, Notice, one_line

OUTBOX = "outbox"
"""Name of the channel that stands for the folder."""


def file_name(key: str) -> str:
    """Return a name safe on every file system, one per key: what is readable of the key and a digest of all of it.

    >>> file_name("NT-007/C2D1/opens/2026-03-04")
    'NT-007_C2D1_opens_2026-03-04.bbc90a2d36.eml'
    """
    readable = re.sub(r"[^A-Za-z0-9-]+", "_", key)[:100].strip("_") or "notice"
    return f"{readable}.{hashlib.sha256(key.encode()).hexdigest()[:10]}.eml"


def put(folder: Path, notice: Notice, message: Message, sent_at: datetime | None) -> Path:
    """Write the notice into the folder and return its path; the same key overwrites its file. OSError if it fails."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / file_name(notice.key)
    part = folder / f".{target.name}.{secrets.token_hex(4)}.part"
    try:
        with part.open("wb") as file:
            file.write(_mail(notice, message, sent_at).as_bytes())
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _mail(notice: Notice, message: Message, sent_at: datetime | None) -> EmailMessage:
    mail = EmailMessage(policy=SMTP)
    role = re.sub(r"[^A-Za-z0-9_-]+", "_", notice.role) or "nobody"
    mail["Subject"] = message.subject
    mail["From"] = "neotorch@neotorch.invalid"  # RFC 2606: can never be delivered by mistake
    mail["To"] = f"{role}@neotorch.invalid"
    if sent_at:
        mail["Date"] = format_datetime(sent_at)
    mail["X-Neotorch-Key"] = one_line(notice.key)
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text, cte="base64")
    mail.add_alternative(message.html, subtype="html", cte="base64")
    return mail
