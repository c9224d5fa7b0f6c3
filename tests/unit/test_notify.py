"""Notices in words: what each kind says, what may never stand in one, and the outbox folder."""

from __future__ import annotations

from datetime import date
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import SecretStr

from neotorch.notify import OUTBOX, Channel, ChannelError, Kind, Notice, NoticeError, Notifier, render
from neotorch.notify.message import FIELDS, SUBJECT_MAX, day
from neotorch.notify.outbox import file_name
from neotorch.notify.quiet import reason

CASES = yaml.safe_load((Path(__file__).parents[1] / "cases" / "notices.yaml").read_text(encoding="utf-8"))
KEY = "NT-007/C2D1/opens/2026-03-04/coordinator/outbox"
REMINDER = {
    "subject": "NT-007",
    "visit": "C2D1",
    "rung": "opens",
    "opens": "2026-03-01",
    "target": "2026-03-04",
    "closes": "2026-03-07",
}
HOSTILE = "<script>alert(1)</script>\r\nBcc: thief@example.org\n\n<img src=x onerror=y>\u202e{{ 7*7 }}"


class _Tags(HTMLParser):
    """Lists the tags and attributes that a mail program would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.words += data


def _notice(data: dict[str, Any], kind: Kind = "reminder", language: Any = "en", key: str = KEY) -> Notice:
    return Notice(key, kind, "coordinator", language, data)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("case", CASES, ids=[c["name"] for c in CASES])
def test_each_kind_says_what_it_must(case: dict[str, Any], language: str) -> None:
    """Whoever gets a notice reads subject code, what, why, until when and where to act, in text and in HTML."""
    message = render(_notice(case["data"], case["kind"], language))
    html = _Tags(message.html).words
    for promise in case[language]:
        assert promise in message.subject + "\n" + message.text
        assert promise in message.subject + "\n" + html
    assert KEY in message.text


def test_the_cases_cover_every_kind() -> None:
    """No kind of notice is without its words in both languages."""
    assert {c["kind"] for c in CASES} == set(get_args(Kind))


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("case", CASES, ids=[c["name"] for c in CASES])
def test_a_possible_repeat_says_so(case: dict[str, Any], language: str) -> None:
    """A notice that may have arrived before says so in its subject and body, whatever its kind."""
    message = render(_notice({**case["data"], "possible_repeat": True}, case["kind"], language))
    mark, words = {"en": ("[possible repeat]", "may be a repeat"), "zh": ("【可能重复】", "可能重复")}[language]
    assert message.subject.startswith(mark)
    assert words in message.text
    assert words in message.html


def test_no_english_in_a_chinese_notice() -> None:
    """A Chinese notice has no English words of ours, only codes."""
    message = render(_notice(REMINDER | {"possible_repeat": True}, language="zh"))
    body = message.text.replace(KEY, "")
    assert not [w for w in ("Visit", "Window", "Until", "visit", "window", "Why", "from", "Mar") if w in body]


@pytest.mark.parametrize(
    ("when", "en", "zh"),
    [
        (date(2026, 3, 4), "Wed 4 Mar 2026", "2026年3月4日（周三）"),
        (date(2027, 12, 26), "Sun 26 Dec 2027", "2027年12月26日（周日）"),
        (date(2028, 2, 29), "Tue 29 Feb 2028", "2028年2月29日（周二）"),
    ],
)
def test_dates_in_local_form(when: date, en: str, zh: str) -> None:
    """Dates read as people write them, whatever the machine's locale."""
    assert (day(when, "en"), day(when, "zh")) == (en, zh)


# ── what may never stand in a notice ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("field", sorted(FIELDS))
def test_hostile_text_in_any_field_is_refused_or_harmless(field: str) -> None:
    """Markup and line breaks in any field are refused, or arrive as plain characters on one line."""
    shapes: list[Any] = [HOSTILE, {"en": HOSTILE}, [HOSTILE], [{"field": HOSTILE, "old": HOSTILE, "new": HOSTILE}]]
    base = REMINDER | {"anchor_day": "2026-02-11", "offset_days": 21, "changes": [{"field": "pCR"}]}
    refusals: list[str] = []
    for shape in shapes:
        try:
            message = render(_notice({**base, field: shape}))
        except NoticeError as error:
            refusals.append(str(error))
            continue
        seen = _Tags(message.html)
        assert seen.tags <= {"html", "head", "meta", "title", "body", "p", "b", "br", "a"}
        assert seen.attributes <= {"lang", "charset", "style", "href"}
        assert all(link.startswith(("http://", "https://")) for link in seen.links)
        assert "\n" not in message.subject
        assert "\r" not in message.subject + message.text
        assert not [line for line in message.text.splitlines() if line.startswith("Bcc:")]
        assert "\u202e" not in message.text + message.html
        assert "49" not in message.text
    assert "script" not in "".join(refusals)


def test_a_hostile_key_stays_one_line() -> None:
    """A key with line breaks cannot add a line to the body."""
    message = render(_notice(REMINDER, key="NT-007\r\nBcc: thief@example.org\r\n\r\n<b>x</b>"))
    assert not [line for line in message.text.splitlines() if line.startswith(("Bcc", "<b>"))]
    assert "<b>x</b>" not in message.html


@pytest.mark.parametrize("subject", ["Zhang San", "张三", "NT-007 Zhang", "nt-007", "NT-007\n", "", 7])
def test_a_name_in_the_place_of_a_subject_code_is_refused(subject: Any) -> None:
    """Only a subject code passes as a subject; what was given is not repeated in the error."""
    with pytest.raises(NoticeError) as refused:
        render(_notice({**REMINDER, "subject": subject}))
    assert "must be a code such as NT-007" in str(refused.value)
    assert "Zhang" not in str(refused.value)


@pytest.mark.parametrize("field", ["name", "birth_date", "free_text", "comment", "answer", "reason"])
def test_fields_off_the_list_are_refused(field: str) -> None:
    """What is not listed cannot enter a notice, and is not left out in silence either."""
    with pytest.raises(NoticeError, match=f"{field}: may not stand in a notice"):
        render(_notice({**REMINDER, field: "x"}))


@pytest.mark.parametrize("field", ["subject", "visit", "rung", "opens", "target"])
def test_a_missing_field_is_named(field: str) -> None:
    """A notice without what it must say is not worded with a gap; the error names the field."""
    data = {k: v for k, v in REMINDER.items() if k != field}
    with pytest.raises(NoticeError, match=f"the field {field} is missing"):
        render(_notice(data))


@pytest.mark.parametrize("value", ["now", "2026", "2026-02-30", 20260304, "04/03/2026", True])
def test_only_real_dates_pass(value: Any) -> None:
    """A date in a notice is a calendar date, never a guess."""
    with pytest.raises(NoticeError, match="field target"):
        render(_notice({**REMINDER, "target": value}))


@pytest.mark.parametrize(("kind", "language"), [("advert", "en"), ("reminder", "fr")])
def test_unknown_kind_or_language_is_refused(kind: Any, language: str) -> None:
    """A kind or language without words is an error that says which there are."""
    with pytest.raises(NoticeError, match="kinds are reminder"):
        render(_notice(REMINDER, kind, language))


def test_long_lists_and_words_are_cut_and_say_so() -> None:
    """A notice stays readable however much changed, and says how much it leaves out."""
    changes = [{"field": f"f{n}", "new": "x"} for n in range(100)]
    message = render(
        _notice({"what": "w" * 1000, "changes": changes, "items": [f"i{n}" for n in range(50)]}, "endpoint")
    )
    assert len(message.subject) <= SUBJECT_MAX
    assert "and 60 more" in message.text
    assert "… +10" in message.text


def test_a_command_as_place_to_act_is_no_link() -> None:
    """Only web addresses become links; a command is shown as text."""
    links = [
        _Tags(render(_notice({**REMINDER, "where": w})).html).links
        for w in ("neotorch worklist", "javascript:x", "https://a.b/?c=1&d=2")
    ]
    assert links == [[], [], ["https://a.b/?c=1&d=2"]]


# ── the outbox folder ─────────────────────────────────────────────────────────────────────────────────────────────


def _outbox(folder: Path, notice: Notice) -> Any:
    notifier = Notifier([], folder)
    (channel,) = notifier.channels_for("coordinator", "HARBIN")
    assert channel.name == OUTBOX
    return notifier.send(channel, notice)


def _read(file: Path) -> EmailMessage:
    return message_from_bytes(file.read_bytes(), EmailMessage, policy=policy.default)


def test_outbox_takes_what_nobody_listens_for(tmp_path: Path) -> None:
    """With no channel, the notice is a mail file with both bodies, the key and the date of sending."""
    data = REMINDER | {"sent_at": "2026-03-01T08:00:00+08:00"}
    assert _outbox(tmp_path / "new" / "outbox", _notice(data, language="zh")).ok
    (file,) = (tmp_path / "new" / "outbox").iterdir()
    mail = _read(file)
    assert file.suffix == ".eml"
    assert "窗口于2026年3月1日（周日）开启" in mail["Subject"]
    assert (mail["X-Neotorch-Key"], mail["Date"]) == (KEY, "Sun, 01 Mar 2026 08:00:00 +0800")
    for part in ("plain", "html"):
        body = mail.get_body((part,))
        assert body is not None
        assert "受试者编号" in body.get_content()


def test_sending_the_same_key_again_doubles_nothing(tmp_path: Path) -> None:
    """The same notice sent twice is one file, the newer one, and no part file stays behind."""
    assert _outbox(tmp_path, _notice(REMINDER)).ok
    assert _outbox(tmp_path, _notice(REMINDER | {"possible_repeat": True})).ok
    (file,) = tmp_path.iterdir()
    assert _read(file)["Subject"].startswith("[possible repeat]")


def test_other_keys_are_other_files(tmp_path: Path) -> None:
    """Keys that look alike once made safe for a file system do not overwrite one another."""
    for key in ("a/b", "a_b", "a:b", "../../a/b", "A/B", "中"):
        assert _outbox(tmp_path, _notice(REMINDER, key=key)).ok
    assert len(list(tmp_path.iterdir())) == 6
    assert len({file_name("x" * 500 + end).lower() for end in "ab"}) == 2


def test_an_outbox_that_cannot_be_written_is_an_answer_not_a_crash(tmp_path: Path) -> None:
    """A file in the folder's place is reported with its path, and counts as passing."""
    (tmp_path / "outbox").write_text("in the way")
    result = _outbox(tmp_path / "outbox", _notice(REMINDER))
    assert (result.ok, result.transient) == (False, True)
    assert str(tmp_path / "outbox") in result.error


def test_bad_data_is_an_answer_not_a_crash(tmp_path: Path) -> None:
    """A notice that cannot be worded is not sent, is not tried again by itself, and says which field."""
    result = _outbox(tmp_path, _notice({"subject": "NT-007"}))
    assert (result.ok, result.transient) == (False, False)
    assert "field rung is missing" in result.error
    assert not list(tmp_path.iterdir())


# ── who listens ───────────────────────────────────────────────────────────────────────────────────────────────────


def _channel(name: str, role: str = "coordinator", site: str | None = None, url: str = "json://127.0.0.1:9") -> Channel:
    return Channel(name, role, site, SecretStr(url))


def test_channels_by_role_and_site(tmp_path: Path) -> None:
    """A site hears of its own patients, a channel without site of all; the trial's news reach the whole role."""
    notifier = Notifier(
        [_channel("all"), _channel("h", site="H"), _channel("b", site="B"), _channel("s", "statistician")], tmp_path
    )
    who = {place: [c.name for c in notifier.channels_for("coordinator", place)] for place in ("H", "B", "X", None)}
    assert who == {"H": ["all", "h"], "B": ["all", "b"], "X": ["all"], None: ["all", "h", "b"]}
    assert notifier.unheard(["coordinator", "operator"], ["H"]) == (("operator", "H"),)


@pytest.mark.parametrize("names", [["a", "a"], [OUTBOX]])
def test_channel_names_are_unique_and_not_the_outbox(names: list[str], tmp_path: Path) -> None:
    """The channel's name is part of what was sent to whom, so two of one name are refused at the start."""
    with pytest.raises(ChannelError, match=f"channel {names[0]}"):
        Notifier([_channel(n) for n in names], tmp_path)


@pytest.mark.parametrize(
    ("role", "site", "wrong", "todo"),
    [
        ("janitor", None, "no role of the study is called janitor", "use one of coordinator, operator"),
        ("coordinator", "MARS", "no site of the study is called MARS", "use one of H"),
    ],
)
def test_a_channel_nobody_is_behind_is_found(
    role: str, site: str | None, wrong: str, todo: str, tmp_path: Path
) -> None:
    """A role or site that the study does not have is refused before anything is lost on it."""
    notifier = Notifier([], tmp_path, roles={"coordinator", "operator"}, sites={"H"})
    check = notifier.check(_channel("x", role, site))
    assert not check.ok
    assert wrong in check.wrong
    assert todo == check.todo


@pytest.mark.parametrize(
    ("url", "wrong", "todo"),
    [
        ("", "not of the form service://", "apprise URL"),
        ("coordinator@example.org", "not of the form service://", "apprise URL"),
        ("nosuch://host", "knows no service nosuch://", "did you mean"),
        ("mailt://host", "knows no service mailt://", "mailto"),
        ("mailto://", "missing or wrong", "?from="),
        ("slack://short", "missing or wrong", "slack://"),
        ("json://localhost:99999/", "port 99999", "1 to 65535"),
        (
            "mailto://localhost?from=n@example.org&to=a@example.org,b@example.org",
            "names 2 recipients",
            "one channel of each",
        ),
        (
            "mailto://localhost?from=n@example.org&to=a@example.org&cc=b@example.org",
            "names 2 recipients",
            "one channel of each",
        ),
    ],
)
def test_an_unusable_url_is_refused_with_the_way_out(url: str, wrong: str, todo: str, tmp_path: Path) -> None:
    """Each way in which a URL cannot work has its own words and remedy; sending through it is an answer too."""
    notifier, channel = Notifier([], tmp_path), _channel("x", url=url)
    check = notifier.check(channel)
    assert not check.ok
    assert wrong in check.wrong
    assert todo in check.todo
    if "recipients" not in wrong:
        result = notifier.send(channel, _notice(REMINDER))
        assert (result.ok, result.transient) == (False, False)
        assert wrong in (result.error or "")


def test_a_password_in_an_unusable_url_is_not_repeated(tmp_path: Path) -> None:
    """Errors about a URL show neither its password nor its token."""
    notifier = Notifier([], tmp_path)
    for url in (
        "nosuch://u:hunter2hunter2@h/tok-3n",
        "slack://hunter2hunter2/tok-3n",
        "json://u:hunter2hunter2@h:99999/tok-3n",
    ):
        channel = _channel("x", url=url)
        said = repr(channel) + repr(notifier.check(channel)) + repr(notifier.send(channel, _notice(REMINDER)))
        assert "hunter2hunter2" not in said
        assert "tok-3n" not in said


@pytest.mark.parametrize(
    ("said", "words", "transient", "in_doubt"),
    [
        ("Socket Exception: (421, b'busy')", "421", True, False),
        ("Socket Exception: {'a@b.c': (550, b'no such user a@b.c')}", "550", False, False),
        ("Socket Exception: (535, b'5.7.8 bad hunter2')", "refused the sign-in", False, False),
        ("Failed to send JSON POST notification: error=500.", "500", True, False),
        ("Failed to send JSON POST notification: error=403.", "403", False, False),
        ("Socket Exception: [Errno 111] Connection refused", "nothing listens", True, False),
        ("Socket Exception: [Errno -2] Name or service not known", "host name is not known", True, False),
        ("Socket Exception: certificate verify failed: self-signed", "not trusted", False, False),
        ("Socket Exception: timed out", "no answer in time", True, False),
        ('Sending email to "a@b.c" failed.\nSocket Exception: timed out', "no answer in time", True, True),
        ('Sending email to "a@b.c" failed.\nSocket Exception: Connection unexpectedly closed', "was cut", True, True),
        ("Socket Exception: HTTPConnectionPool(host='h', port=1): Read timed out.", "no answer in time", True, True),
        ("Socket Exception: ('Connection aborted.', RemoteDisconnected('x'))", "was cut", True, True),
        ("something new about hunter2", "gave no reason", True, False),
        ('Sending email to "a@b.c" failed.', "gave no reason", True, True),
    ],
)
def test_reasons_come_from_a_fixed_list(said: str, words: str, transient: bool, in_doubt: bool) -> None:
    """The worklist says why a notice was not taken, in our words only, and whether it may have arrived all the same."""
    found = reason(said.splitlines())
    assert words in found.words
    assert (found.transient, found.in_doubt) == (transient, in_doubt)
    assert "hunter2" not in found.words
    assert "a@b.c" not in found.words
