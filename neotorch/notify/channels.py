"""One channel of notices: an apprise URL, opened, checked and sent through with nothing leaking from it."""

from __future__ import annotations

import difflib
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic import SecretStr

from neotorch.domain.errors import NeotorchError
from neotorch.notify.message import Message, one_line
from neotorch.notify.quiet import Reason, listening, private_logger, reason

if TYPE_CHECKING:
    from apprise import NotifyBase

KEY_HEADER = "X-Neotorch-Key"
_SCHEMA = re.compile(r"^\s*([A-Za-z0-9]{1,12})://")


class ChannelError(NeotorchError):
    """A channel's URL cannot be used."""


@dataclass(frozen=True)
class Channel:
    """Who listens where. `site` None: all sites. `url` is an apprise URL for exactly one recipient."""

    name: str
    role: str
    site: str | None
    url: SecretStr
    language: str | None = None


def open_url(channel: Channel, key: str, timeout_seconds: float) -> NotifyBase:
    """Return apprise's plugin for the URL, its headers carrying `key`; ChannelError says what is wrong with the URL."""
    from apprise import Apprise, AppriseAsset

    url = channel.url.get_secret_value().strip()
    where = f"channel {channel.name}"
    asset = AppriseAsset(app_id="neotorch", app_desc="neotorch", async_mode=False)
    with listening():
        plugin = Apprise.instantiate(url, asset=asset)
        if plugin is not None and _takes_headers(plugin):
            plugin = Apprise.instantiate(_with_key(url, key), asset=asset)
    if plugin is None:
        raise _unusable(url, where)
    if plugin.port is not None and not 0 < plugin.port < 65536:
        raise ChannelError(f"port {plugin.port} does not exist", where, "give a port from 1 to 65535")
    # one attempt and its true outcome: trying again is the engine's part, and a failure must not count as sent
    plugin.retry, plugin.optional = 0, False
    # half of the whole time for each step, so that a silent server is an error here and not a cut-off above
    step = timeout_seconds / 2
    plugin.socket_connect_timeout = min(float(plugin.socket_connect_timeout or step), step)
    plugin.socket_read_timeout = min(float(plugin.socket_read_timeout or step), step)
    plugin.logger = private_logger()
    return plugin


def recipients(plugin: NotifyBase) -> int:
    """Return how many the URL sends to: one call must be one recipient, or a retry would reach the others again."""
    copies = len(getattr(plugin, "cc", None) or ()) + len(getattr(plugin, "bcc", None) or ())
    return len(plugin) + copies


def _takes_headers(plugin: NotifyBase) -> bool:
    return any(k == "headers" and v.get("prefix") == "+" for k, v in plugin.template_kwargs.items())


def _with_key(url: str, key: str) -> str:
    value = "".join(c if 32 < ord(c) < 127 else "_" for c in one_line(key))
    return f"{url}{'&' if '?' in url else '?'}{quote('+' + KEY_HEADER)}={quote(value, safe='')}"


def _unusable(url: str, where: str) -> ChannelError:
    found = _SCHEMA.match(url)
    if not found:
        return ChannelError(
            "the URL is not of the form service://…",
            where,
            "write an apprise URL, for example mailtos://… or jsons://…",
        )
    schema, known = found[1].lower(), _schemas()
    if schema not in known:
        near = difflib.get_close_matches(schema, known, n=3) or ["mailto", "mailtos", "json", "jsons"]
        return ChannelError(f"apprise knows no service {schema}://", where, f"did you mean {', '.join(near)}?")
    if not known[schema]:
        todo = "install the Python package that apprise asks for, or use mailtos:// or jsons://"
        return ChannelError(f"{schema}:// needs a package that is not installed", where, todo)
    todo = f"compare it with apprise's page on {schema}://; a mailto URL needs ?from=…&to=…"
    return ChannelError(f"a part of the {schema}:// URL is missing or wrong", where, todo)


def _schemas() -> dict[str, bool]:
    """Return apprise's URL schemas and whether each can be used on this machine."""
    from apprise import Apprise

    services: list[dict[str, Any]] = Apprise().details(show_disabled=True)["schemas"]
    return {
        schema: bool(service.get("enabled", True))
        for service in services
        for schema in (*(service.get("protocols") or ()), *(service.get("secure_protocols") or ()))
    }


def deliver(channel: Channel, key: str, message: Message, timeout_seconds: float) -> Reason | None:
    """Send one message; None if it was taken, else why not. Waits at most `timeout_seconds`."""
    plugin = open_url(channel, key, timeout_seconds)
    outcome: list[Reason | None] = []
    thread = threading.Thread(target=lambda: outcome.append(_call(plugin, message)), daemon=True, name="notice")
    thread.start()
    thread.join(timeout_seconds)
    if not outcome:
        return Reason(f"no answer within {timeout_seconds:g} s", transient=True, in_doubt=True)
    return outcome[0]


def _call(plugin: NotifyBase, message: Message) -> Reason | None:
    from apprise import Apprise, NotifyFormat

    formats: Any = plugin.notify_format  # 1.x: one format; 2.x: one or several
    html_taken = NotifyFormat.HTML in (formats if isinstance(formats, tuple) else (formats,))
    as_html = html_taken and "mailto" in (plugin.protocol, plugin.secure_protocol)
    with listening() as said:
        try:
            service = Apprise(asset=plugin.asset)
            service.add(plugin)
            taken: Any = service.notify(
                body=message.html if as_html else message.text,
                title=message.subject,
                body_format=NotifyFormat.HTML if as_html else NotifyFormat.TEXT,
            )
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything, and its text may hold the URL
            return Reason(f"the {type(error).__name__} of a sending library", transient=True)
    # apprise 1.x answers True, False, or None for nobody to send to; 2.x an object with a status of that meaning
    if taken is None or getattr(getattr(taken, "status", None), "name", "") == "NOMATCH":
        return Reason("the channel sends to nobody", transient=False)
    return None if taken else reason(said)
