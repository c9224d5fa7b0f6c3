"""Notices: worded in two languages, sent by apprise to one recipient at a time, or put into the outbox folder."""

from neotorch.notify.channels import Channel, ChannelError
from neotorch.notify.message import Kind, Language, Message, Notice, NoticeError, render
from neotorch.notify.notifier import ChannelCheck, Notifier, SendResult
from neotorch.notify.outbox import OUTBOX

__all__ = [
    "OUTBOX", "Channel", "ChannelCheck", "ChannelError", "Kind", "Language", "Message", "Notice", "NoticeError",
    "Notifier", "SendResult", "render",
]  # fmt: skip
