"""Where the demo's notices arrive: a real mail server and a real web receiver, which keep what comes in as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Self

from neotorch.receivers import MailReceiver, Post, WebReceiver

if TYPE_CHECKING:
    from aiosmtpd.smtp import SMTP, Envelope, Session


class _Mails(MailReceiver):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        answer = await super().handle_DATA(server, session, envelope)
        if answer.startswith("250") and isinstance(envelope.content, bytes):
            role = envelope.rcpt_tos[0].partition("@")[0]
            (self.folder / f"{len(self.received):04d}-{role}.eml").write_bytes(envelope.content)
        return answer


class _Posts(WebReceiver):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.file = folder / "web.jsonl"

    def take(self, post: Post) -> int:
        status = super().take(post)
        if status == 200:
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"path": post.path, **post.body}, ensure_ascii=False) + "\n")
        return status


class Inbox:
    """Both receivers on free ports of the loopback. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        """Keep what comes in as files in `folder`: one .eml per mail, one line of `web.jsonl` per post."""
        self.folder = folder
        self.mail, self.web = _Mails(folder), _Posts(folder)

    def __enter__(self) -> Self:
        """Open both ports."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.mail.start()
        self.web.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close both ports."""
        self.mail.stop()
        self.web.stop()

    def subject_of(self, key: str) -> str | None:
        """Return the subject line of the notice with this key as it arrived, None if it has not."""
        mail = next((m for m in self.mail.received if m.key == key), None)
        if mail:
            return mail.subject
        post = next((p for p in self.web.received if p.key == key), None)
        return str(post.body.get("title", "")) if post else None
