"""Notices through real servers: an SMTP server and an HTTP receiver on loopback."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from neotorch.notify import Channel, Notice, Notifier
from neotorch.receivers import LOOPBACK, Mail, MailReceiver, WebReceiver

KEY = "NT-007/C2D1/opens/2026-03-04/coordinator/ward+x"
DATA: dict[str, Any] = {
    "subject": "NT-007", "visit": "C2D1", "visit_label": {"en": "Cycle 2 day 1", "zh": "第2周期第1天"}, "rung": "opens",
    "opens": "2026-03-01", "target": "2026-03-04", "closes": "2026-03-07", "due": ["CBC"], "where": "https://edc.example.org",
}  # fmt: skip
PATIENCE = 20.0
HURRY = 0.6


@pytest.fixture
def mail() -> Iterator[MailReceiver]:
    """Run a real mail server."""
    with MailReceiver() as receiver:
        yield receiver


@pytest.fixture
def web() -> Iterator[WebReceiver]:
    """Run a real HTTP receiver."""
    with WebReceiver() as receiver:
        yield receiver


@pytest.fixture(params=["mail", "web"])
def either(request: pytest.FixtureRequest) -> MailReceiver | WebReceiver:
    """Each receiver in turn."""
    found: MailReceiver | WebReceiver = request.getfixturevalue(request.param)
    return found


def _channel(url: str) -> Channel:
    return Channel("ward", "coordinator", None, SecretStr(url))


def _notice(language: Any = "en", **data: Any) -> Notice:
    return Notice(KEY, "reminder", "coordinator", language, DATA | data)


def _send(url: str, timeout: float = PATIENCE, **data: Any) -> Any:
    return Notifier([], Path("unused"), timeout_seconds=timeout).send(_channel(url), _notice(**data))


@pytest.mark.parametrize(
    ("language", "words"), [("en", "window opens Sun 1 Mar 2026"), ("zh", "窗口于2026年3月1日（周日）开启")]
)
def test_a_mail_arrives_whole(mail: MailReceiver, language: str, words: str) -> None:
    """A coordinator gets one mail with subject, text and HTML in the language asked for, and the key in a header."""
    result = Notifier([], Path("unused")).send(_channel(mail.url("ward@example.org")), _notice(language))
    assert (result.ok, result.error) == (True, None)
    (got,) = mail.received
    assert got.to == ("ward@example.org",)
    assert words in got.subject
    for body in (got.text, got.html):
        assert "NT-007" in body
        assert "https://edc.example.org" in body
        assert KEY in body
    assert got.key == KEY


@pytest.mark.parametrize(
    ("language", "words"), [("en", "window opens Sun 1 Mar 2026"), ("zh", "窗口于2026年3月1日（周日）开启")]
)
def test_a_post_arrives_whole(web: WebReceiver, language: str, words: str) -> None:
    """A web receiver gets one JSON with title and text, and the key in a header."""
    result = Notifier([], Path("unused")).send(_channel(web.url()), _notice(language))
    assert (result.ok, result.error) == (True, None)
    (got,) = web.received
    assert words in got.body["title"]
    assert "NT-007" in got.body["message"]
    assert "<p>" not in got.body["message"]
    assert (got.key, got.path) == (KEY, "/notices")


def test_the_key_lets_a_receiver_know_a_repeat(either: MailReceiver | WebReceiver) -> None:
    """The same notice sent twice carries the same key twice, and the second says that it may be a repeat."""
    assert _send(either.url()).ok
    assert _send(either.url(), possible_repeat=True).ok
    assert [r.key for r in either.received] == [KEY, KEY]
    titles = [r.subject if isinstance(r, Mail) else str(r.body["title"]) for r in either.received]
    assert [t.startswith("[possible repeat]") for t in titles] == [False, True]


def test_a_channel_with_arguments_keeps_them(web: WebReceiver) -> None:
    """Adding our key does not disturb a URL's own headers, fields and query."""
    assert _send(web.url("/in/tray") + "?+X-Ward=7&:team=onco&-flag=on").ok
    (got,) = web.received
    assert (got.headers["X-Ward"], got.body["team"], got.path, got.key) == ("7", "onco", "/in/tray?flag=on", KEY)


@pytest.mark.parametrize(("status", "transient"), [(421, True), (451, True), (550, False), (554, False)])
def test_a_mail_server_that_refuses(mail: MailReceiver, status: int, transient: bool) -> None:
    """A refusal is an answer with the server's code; only a passing one is worth another try."""
    mail.fail_with = status
    result = _send(mail.url())
    assert (result.ok, result.transient, result.in_doubt) == (False, transient, False)
    assert f"the mail server answered {status}" in result.error


@pytest.mark.parametrize(
    ("status", "transient"), [(400, False), (401, False), (404, False), (429, True), (500, True), (503, True)]
)
def test_a_web_server_that_refuses(web: WebReceiver, status: int, transient: bool) -> None:
    """An HTTP failure is an answer with its status; only a passing one is worth another try."""
    web.fail_with = status
    result = _send(web.url())
    assert (result.ok, result.transient, result.in_doubt) == (False, transient, False)
    assert f"the server answered {status}" in result.error


def test_a_refused_connection_says_so_and_recovers(either: MailReceiver | WebReceiver) -> None:
    """A server that is down is named as such, cannot have the notice, and gets it once it is up again."""
    url = either.url()
    either.stop()
    result = _send(url)
    assert (result.ok, result.transient, result.in_doubt) == (False, True, False)
    assert "connection refused" in result.error
    either.start()
    assert _send(either.url()).ok


def test_a_server_that_hangs_after_the_notice_leaves_it_in_doubt(either: MailReceiver | WebReceiver) -> None:
    """When no answer comes after the notice was handed over, the result says that it may have arrived."""
    either.hang_seconds = 60
    result = _send(either.url(), HURRY)
    assert (result.ok, result.transient, result.in_doubt) == (False, True, True)
    assert "no answer" in result.error
    assert either.attempts == 1


@contextmanager
def _babbler(line: bytes, pause: float) -> Iterator[int]:
    """Serve a port that says `line` again and again and never comes to the point."""
    stop = threading.Event()
    with socket.create_server((LOOPBACK, 0)) as server:

        def babble() -> None:
            connection, _ = server.accept()
            with connection:
                while not stop.wait(pause):
                    try:
                        connection.sendall(line)
                    except OSError:
                        return

        threading.Thread(target=babble, daemon=True).start()
        yield server.getsockname()[1]
        stop.set()


def test_a_server_that_never_comes_to_the_point_is_cut_off() -> None:
    """Not even a server that keeps talking can hold a journey up beyond the time-out."""
    with _babbler(b"220-please hold the line\r\n", 0.05) as port:
        result = _send(f"mailto://{LOOPBACK}:{port}?from=n@example.org&to=w@example.org&mode=insecure", HURRY)
    assert (result.ok, result.transient, result.in_doubt) == (False, True, True)
    assert "no answer within" in result.error


def test_a_server_that_is_silent_from_the_start_cannot_have_the_notice() -> None:
    """A mail server that never greets was never given the notice, so it is not in doubt."""
    with _babbler(b"", 30) as port:
        result = _send(f"mailto://{LOOPBACK}:{port}?from=n@example.org&to=w@example.org&mode=insecure", HURRY)
    assert (result.ok, result.transient, result.in_doubt) == (False, True, False)


def test_an_unknown_host_is_named() -> None:
    """A host name that does not exist is said to be so."""
    result = _send("json://nosuchhost.invalid/x")
    assert (result.ok, result.transient) == (False, True)
    assert "host name is not known" in result.error


def test_apprise_neither_retries_nor_hides_a_failure(web: WebReceiver) -> None:
    """A URL cannot make apprise send by itself again, or call a failure a success."""
    web.fail_with = 503
    assert not _send(web.url() + "?retry=3&wait=0&optional=yes").ok
    assert web.attempts == 1


def test_a_url_with_many_recipients_is_found_by_doctor(mail: MailReceiver) -> None:
    """One channel is one recipient, so that a retry never reaches somebody twice."""
    check = Notifier([], Path("unused")).check(_channel(mail.url("a@example.org,b@example.org")), live=True)
    assert not check.ok
    assert not mail.received


def test_doctor_sends_a_test_notice_only_when_asked(either: MailReceiver | WebReceiver) -> None:
    """A live check sends one test notice; a plain one sends nothing."""
    notifier = Notifier([], Path("unused"))
    assert notifier.check(_channel(either.url())).ok
    assert either.attempts == 0
    assert notifier.check(_channel(either.url()), live=True).ok
    assert [r.key for r in either.received] == ["test/ward"]


def test_doctor_says_why_a_test_notice_failed(either: MailReceiver | WebReceiver) -> None:
    """A live check of a server that is down says what is wrong and what to do."""
    url = either.url()
    either.stop()
    check = Notifier([], Path("unused")).check(_channel(url), live=True)
    assert not check.ok
    assert "connection refused" in check.wrong
    assert "host, port, user and password" in check.todo


@pytest.mark.parametrize("trouble", ["none", "refuses", "down"])
def test_nothing_leaks_into_logs(
    either: MailReceiver | WebReceiver,
    trouble: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """With every logger at DEBUG, no body, recipient, token or password of a notice reaches a log or the terminal."""
    for name in (None, "apprise", "urllib3", "requests"):
        caplog.set_level(logging.DEBUG, name)
    if isinstance(either, MailReceiver):
        url = either.url("ward-seven@example.org") + "&%2BX-Token=hunter2hunter2"
    else:
        url = f"json://ward-seven:hunter2hunter2@{LOOPBACK}:{either.port}/tok-3n?+X-Token=hunter2hunter2"
    either.fail_with = 500 if trouble == "refuses" else None
    if trouble == "down":
        either.stop()
    notifier = Notifier([], Path("unused"))
    result = notifier.send(_channel(url), _notice())
    notifier.check(_channel(url), live=True)
    assert result.ok == (trouble == "none")
    out, err = capfd.readouterr()
    told = f"{caplog.text} {result!r} {out} {err} {notifier.channels!r} {_channel(url)!r}"
    for secret in ("hunter2hunter2", "tok-3n", "ward-seven", "NT-007", "C2D1", "Cycle 2"):
        assert secret not in told


def test_others_still_hear_apprise(caplog: pytest.LogCaptureFixture, web: WebReceiver) -> None:
    """Our silence is only about our own sends: what others send through apprise is logged as before."""
    caplog.set_level(logging.DEBUG)
    assert _send(web.url()).ok
    logging.getLogger("apprise").warning("somebody else's")
    assert "somebody else's" in caplog.text


def test_many_sends_at_once_keep_apart(web: WebReceiver, mail: MailReceiver) -> None:
    """Sends in parallel threads get each its own outcome and its own reason."""
    web.fail_with = 503
    urls = [mail.url(), web.url(), mail.url(), web.url(), mail.url(), web.url()]
    results: dict[int, Any] = {}
    threads = [threading.Thread(target=lambda n=n, u=u: results.update({n: _send(u)})) for n, u in enumerate(urls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [results[n].ok for n in range(6)] == [True, False] * 3
    assert {results[n].error for n in (1, 3, 5)} == {"the server answered 503: it had an error of its own"}
    assert len(mail.received) == 3
