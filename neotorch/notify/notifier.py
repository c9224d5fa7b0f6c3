"""Sending notices: data in, result out. Knows no database, no clock and no schedule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from neotorch.domain.errors import NeotorchError
from neotorch.notify import outbox
from neotorch.notify.channels import Channel, ChannelError, deliver, open_url, recipients
from neotorch.notify.message import Notice, checked, one_line, render


@dataclass(frozen=True)
class SendResult:
    """What became of one notice at one channel.

    `transient`: trying again may help. `in_doubt`: it may have arrived though no answer came, so sending it again may
    double it; say so with `possible_repeat`.
    """

    ok: bool
    error: str | None = None
    transient: bool = False
    in_doubt: bool = False


@dataclass(frozen=True)
class ChannelCheck:
    """Whether a channel can be used; if not, what is wrong and what to do."""

    channel: str
    ok: bool
    wrong: str = ""
    todo: str = ""


class Notifier:
    """The channels of one installation, and the folder for whom none is configured."""

    def __init__(
        self,
        channels: Sequence[Channel],
        folder: Path,
        *,
        timeout_seconds: float = 20,
        roles: Collection[str] | None = None,
        sites: Collection[str] | None = None,
    ) -> None:
        """Take the channels; with `roles` and `sites` of the study, `check` finds channels that nobody is behind."""
        twice = [name for name, count in Counter(c.name for c in channels).items() if count > 1]
        if twice or any(c.name == outbox.OUTBOX for c in channels):
            name = twice[0] if twice else outbox.OUTBOX
            raise ChannelError(
                "stands there twice" if twice else "is the name of the outbox folder", f"channel {name}",
                "give each channel a name of its own",
            )  # fmt: skip
        self.channels = tuple(channels)
        self.folder = folder
        self.timeout_seconds = timeout_seconds
        self._roles, self._sites = roles, sites

    def channels_for(self, role: str, site: str | None) -> tuple[Channel, ...]:
        """Return who listens for the role at the site (None: a notice about the whole trial); never nobody."""
        found = tuple(c for c in self.channels if c.role == role and (site is None or c.site in (None, site)))
        return found or (Channel(outbox.OUTBOX, role, site, SecretStr("")),)

    def channel(self, name: str, role: str, site: str | None) -> Channel:
        """Return the channel of this name, whoever's it is (a deputy may have another role); else the outbox folder."""
        return next((c for c in self.channels if c.name == name), None) or Channel(
            outbox.OUTBOX, role, site, SecretStr("")
        )

    def unheard(self, roles: Collection[str], sites: Collection[str]) -> tuple[tuple[str, str], ...]:
        """Return the (role, site) pairs for whom notices go to the outbox folder, because no channel listens."""
        pairs = ((role, site) for role in roles for site in sites)
        return tuple(p for p in pairs if self.channels_for(*p)[0].name == outbox.OUTBOX)

    def send(self, channel: Channel, notice: Notice) -> SendResult:
        """Send one notice to one channel and wait for the outcome, at most `timeout_seconds`. Never raises."""
        try:
            message = render(notice)
            if channel.name == outbox.OUTBOX:
                outbox.put(self.folder, notice, message, checked(notice).get("sent_at"))
                return SendResult(ok=True)
            failed = deliver(channel, notice.key, message, self.timeout_seconds)
        except NeotorchError as error:
            return SendResult(ok=False, error=one_line(error))
        except OSError as error:
            return SendResult(False, f"the outbox {self.folder} cannot be written: {error.strerror}", transient=True)
        except Exception as error:  # noqa: BLE001 - a journey must not fail because a notice does; the text may hold a URL
            return SendResult(ok=False, error=f"unexpected {type(error).__name__} while sending", transient=True)
        if failed is None:
            return SendResult(ok=True)
        return SendResult(False, failed.words, failed.transient, failed.in_doubt)

    def check(self, channel: Channel, *, live: bool = False) -> ChannelCheck:
        """Return what is wrong with the channel; `live` also sends a test notice through it. Never raises."""
        try:
            return self._nobody(channel) or self._url(channel) or self._live(channel, live=live)
        except NeotorchError as error:
            return ChannelCheck(channel.name, False, error.what, error.todo)

    def _nobody(self, channel: Channel) -> ChannelCheck | None:
        for word, value, known in (("role", channel.role, self._roles), ("site", channel.site, self._sites)):
            if value is not None and known is not None and value not in known:
                wrong = f"no {word} of the study is called {one_line(value, 40)}, so nothing is ever sent to it"
                return ChannelCheck(channel.name, False, wrong, f"use one of {', '.join(sorted(known))}")
        return None

    def _url(self, channel: Channel) -> ChannelCheck | None:
        if channel.name == outbox.OUTBOX:
            return None
        count = recipients(open_url(channel, "check", self.timeout_seconds))
        if count == 1:
            return None
        wrong = f"the URL names {count} recipients, and a repeat after a partial failure would reach some of them twice"
        return ChannelCheck(channel.name, False, wrong, "make one channel of each recipient")

    def _live(self, channel: Channel, *, live: bool) -> ChannelCheck:
        if not live:
            return ChannelCheck(channel.name, True)
        notice = Notice(f"test/{channel.name}", "test", channel.role, "zh" if channel.language == "zh" else "en",
                        {"channel": channel.name})  # fmt: skip
        result = self.send(channel, notice)
        todo = "" if result.ok else "check host, port, user and password of the URL, then run neotorch doctor again"
        return ChannelCheck(channel.name, result.ok, result.error or "", todo)
