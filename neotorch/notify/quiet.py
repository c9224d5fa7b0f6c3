"""Listening to apprise without letting it talk.

apprise logs message bodies and recipients at DEBUG and URLs in its errors; requests' connection pool logs URL paths,
which for many services are the secret. Within a send nothing of this reaches any log handler; what apprise says is
kept for the sender alone, and only reasons from a fixed list are taken out of it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

TALKATIVE = ("apprise", "requests", "urllib3.connectionpool", "urllib3.util.retry", "urllib3.connection", "slixmpp")
"""Loggers that are silent about our own sends."""

_heard: ContextVar[list[str] | None] = ContextVar("_heard", default=None)
"""A context rather than a thread: apprise 2.x sends in threads of its own, with a copy of ours."""


class _Silence(logging.Filter):
    """Keeps the records of a send from all handlers and hands their text to the sender."""

    def filter(self, record: logging.LogRecord) -> bool:
        said = _heard.get()
        if said is None:
            return True
        if record.levelno >= logging.WARNING or str(record.msg).startswith("Socket Exception"):
            said.append(_text(record))  # the rest holds the notice itself, whose words are no reason
        return False


_SILENCE = _Silence()


def _text(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # a log call whose arguments do not fit its template
        return str(record.msg)


def private_logger() -> logging.Logger:
    """Return a logger outside the logging tree: heard at every level by the sender, by nobody else."""
    logger = logging.Logger("apprise", logging.DEBUG)  # noqa: LOG001 - not in the tree on purpose
    logger.addFilter(_SILENCE)
    logger.addHandler(logging.NullHandler())  # else warnings of a stray thread would go to the terminal
    return logger


@contextmanager
def listening() -> Iterator[list[str]]:
    """Collect what the talkative loggers say within this context; nobody else hears it."""
    for name in TALKATIVE:
        logging.getLogger(name).addFilter(_SILENCE)  # adding it again changes nothing
    said: list[str] = []
    token = _heard.set(said)
    try:
        yield said
    finally:
        _heard.reset(token)


@dataclass(frozen=True)
class Reason:
    """Why a notice was not taken. `transient`: worth trying again; `in_doubt`: it may have arrived all the same."""

    words: str
    transient: bool
    in_doubt: bool = False


_SMTP = re.compile(r"\((\d{3}), b?['\"]")
_HTTP = re.compile(r"error=(\d{3})\b")
_SMTP_WORDS = {421: "is not available now", 450: "has the mailbox busy", 451: "had an error", 452: "has no space",
               535: "refused the sign-in", 550: "does not take the recipient", 554: "refused the mail"}  # fmt: skip
_HTTP_WORDS = {401: "refused the sign-in", 403: "forbids it", 404: "knows no such address", 408: "timed out",
               410: "has given up that address", 413: "finds it too large", 429: "has too many requests"}  # fmt: skip
_LOST = re.compile(r"timed out|Connection unexpectedly closed|Connection aborted|RemoteDisconnected|reset by peer")
_KNOWN = (
    (re.compile(r"Connection refused|actively refused"), "connection refused: nothing listens at that host and port"),
    (re.compile(r"Name or service not known|getaddrinfo|No address associated|nodename nor|NameResolutionError"),
     "the host name is not known"),
    (re.compile(r"certificate verify failed|CERTIFICATE_VERIFY_FAILED"), "the server's certificate is not trusted"),
    (re.compile(r"WRONG_VERSION_NUMBER|STARTTLS extension not supported|SSLError|_ssl\.c"),
     "no TLS connection could be made"),
    (re.compile(r"AUTH extension not supported"), "the mail server takes no sign-in on such a connection"),
    (re.compile(r"Network is unreachable|No route to host"), "the network is unreachable"),
)  # fmt: skip
_TOO_FAR = re.compile(r'Sending email to ".*" failed|Read timed out|Connection aborted|RemoteDisconnected', re.DOTALL)
"""Said only once the notice itself was under way."""


def reason(said: list[str]) -> Reason:
    """Return why it failed, in fixed words: never a text from the server or apprise, which may carry a secret."""
    text = "\n".join(said)
    if found := _SMTP.search(text):
        code = int(found[1])
        words = f"the mail server answered {code}: it {_SMTP_WORDS.get(code, 'did not take the mail')}"
        return Reason(words, transient=code < 500)
    if found := _HTTP.search(text):
        code = int(found[1])
        default = "had an error of its own" if code >= 500 else "did not take the notice"
        passing = code >= 500 or code in (408, 425, 429)
        return Reason(f"the server answered {code}: it {_HTTP_WORDS.get(code, default)}", passing)
    for pattern, words in _KNOWN:
        if pattern.search(text):
            return Reason(words, transient="certificate" not in words)
    if _LOST.search(text):
        words = "no answer in time" if "timed out" in text else "the connection was cut"
        return Reason(words, transient=True, in_doubt=bool(_TOO_FAR.search(text)))
    in_doubt = bool(_TOO_FAR.search(text))
    return Reason("the service did not take it and gave no reason", transient=True, in_doubt=in_doubt)
