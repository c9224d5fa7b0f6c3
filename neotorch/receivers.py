"""A real mail server and a real web receiver on loopback, for the rehearsal and the tests. Not for the internet.

Both take any free port, keep what they were sent, and can be told to misbehave: `fail_with` a status, or hang.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from aiosmtpd.smtp import SMTP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiosmtpd.smtp import Envelope, Session

LOOPBACK = "127.0.0.1"
_BODY_MAX = 1_000_000


@dataclass(frozen=True)
class Mail:
    """One mail as it came in; `text` and `html` are the decoded parts."""

    to: tuple[str, ...]
    subject: str
    text: str
    html: str
    headers: Mapping[str, str]

    @property
    def key(self) -> str:
        """The notice's key."""
        return self.headers.get("X-Neotorch-Key", "")


@dataclass(frozen=True)
class Post:
    """One JSON POST as it came in."""

    path: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]

    @property
    def key(self) -> str:
        """The notice's key."""
        return self.headers.get("X-Neotorch-Key", "")


class _Receiver:
    """What both have in common: a port that opens and closes, and how to act."""

    def __init__(self) -> None:
        self.port = 0
        """The port in use, 0 while closed."""
        self.fail_with: int | None = None
        """Answer every notice with this status instead of taking it."""
        self.hang_seconds = 0.0
        """Keep the sender waiting this long before the answer to a notice; ends early when the port closes."""

    def start(self) -> None:
        """Open a free port."""
        raise NotImplementedError

    def stop(self) -> None:
        """Close the port; from now on connections are refused."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Open the port."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close the port."""
        self.stop()


class MailReceiver(_Receiver):
    """An SMTP server (aiosmtpd) in a thread of its own."""

    def __init__(self) -> None:
        """Prepare; `start` or `with` opens the port."""
        super().__init__()
        self.received: list[Mail] = []
        self.attempts = 0
        """Mails that came as far as their text, taken or not."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: asyncio.Server | None = None

    def url(self, to: str = "coordinator@example.org") -> str:
        """Return the apprise URL that sends here."""
        return f"mailto://{LOOPBACK}:{self.port}?from=neotorch@example.org&to={to}&mode=insecure"

    def start(self) -> None:
        """Open a free port."""
        logging.getLogger("mail.log").setLevel(logging.WARNING)  # below that aiosmtpd logs every line of every mail
        loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=loop.run_forever, name="mail-receiver", daemon=True)
        self._thread.start()
        opening = loop.create_server(
            lambda: SMTP(self, hostname="localhost", loop=loop, enable_SMTPUTF8=True), LOOPBACK, 0
        )
        self._server = asyncio.run_coroutine_threadsafe(opening, loop).result(10)
        self._loop, self.port = loop, self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Close the port; from now on connections are refused."""
        if self._loop is None or self._thread is None or self._server is None:
            return
        asyncio.run_coroutine_threadsafe(self._close(self._server), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self._loop, self._thread, self._server, self.port = None, None, None, 0

    async def _close(self, server: asyncio.Server) -> None:
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        """Take or refuse one mail."""
        self.attempts += 1
        await asyncio.sleep(self.hang_seconds)
        if self.fail_with:
            return f"{self.fail_with} not taken"
        self.received.append(_mail(tuple(envelope.rcpt_tos), envelope.content))
        return "250 OK"


def _mail(to: tuple[str, ...], content: bytes | str | None) -> Mail:
    raw = content.encode() if isinstance(content, str) else content or b""
    mail = message_from_bytes(raw, EmailMessage, policy=policy.default)
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    headers = {name: str(value) for name, value in mail.items()}
    return Mail(
        to, str(mail["Subject"]), text.get_content() if text else "", html.get_content() if html else "", headers
    )


class WebReceiver(_Receiver):
    """An HTTP server that takes JSON POSTs, in a thread of its own."""

    def __init__(self) -> None:
        """Prepare; `start` or `with` opens the port."""
        super().__init__()
        self.received: list[Post] = []
        self.attempts = 0
        """POSTs that came in, taken or not."""
        self._stopped = threading.Event()
        self._server: ThreadingHTTPServer | None = None

    def url(self, path: str = "/notices") -> str:
        """Return the apprise URL that sends here."""
        return f"json://{LOOPBACK}:{self.port}{path}"

    def start(self) -> None:
        """Open a free port."""
        self._stopped.clear()
        self._server = ThreadingHTTPServer((LOOPBACK, 0), _handler(self))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="web-receiver", daemon=True).start()

    def stop(self) -> None:
        """Close the port; from now on connections are refused."""
        if self._server is None:
            return
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._server, self.port = None, 0

    def take(self, post: Post) -> int:
        """Take or refuse one POST; returns the status to answer."""
        self.attempts += 1
        self._stopped.wait(self.hang_seconds)
        if self.fail_with:
            return self.fail_with
        self.received.append(post)
        return 200


def _handler(receiver: WebReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Answer one POST."""
            length = int(self.headers.get("Content-Length", "0"))
            try:
                body = json.loads(self.rfile.read(min(length, _BODY_MAX)))
            except ValueError:
                body = None
            status = receiver.take(Post(self.path, body, dict(self.headers))) if isinstance(body, dict) else 400
            try:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except ConnectionError:
                pass  # the sender has given up waiting

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
            """Say nothing on the terminal."""

    return Handler
