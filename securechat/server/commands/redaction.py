"""REDACT: deleting a message.

https://ircv3.net/specs/extensions/message-redaction
"""

from __future__ import annotations

from typing import Final

from securechat.errors import StoreError
from securechat.irc import capabilities as caps
from securechat.irc import numerics
from securechat.irc.message import Message
from securechat.irc.text import cut_text
from securechat.server.context import Context, as_middle
from securechat.server.dispatch import command
from securechat.server.events import RedactMessage
from securechat.server.history.access import Place, find_place
from securechat.server.refusals import Fail, Refusal
from securechat.server.rules.redactions import may_redact
from securechat.server.store_thread import Outcome
from securechat.store.entries import KeptEntry
from securechat.store.history import History

__all__: list[str] = []

_KINDS: Final = frozenset({"PRIVMSG", "NOTICE", "TAGMSG"})
""" "the message to be redacted, which MUST be a PRIVMSG, NOTICE, or TAGMSG" """


@command("REDACT", least=2)
def redact(context: Context, message: Message) -> None:
    """REDACT <channel or nick> <msgid> [<reason>].

    Delete a message of yours; operators of a channel delete those of others too.
    """
    if not context.session.caps & caps.MESSAGE_REDACTION:
        raise Refusal(numerics.ERR_UNKNOWNCOMMAND, message.command)
    target, msgid = message.params[:2]
    reason = message.params[2] if len(message.params) > 2 else ""
    reason = cut_text(reason, context.services.config.limits.kick_length)
    user = context.user
    place = find_place(context.services, user, target)
    outside = place is not None and place.channel is not None and not place.inside
    if place is None or (outside and "o" not in user.modes):
        text = f"You cannot delete messages from {target}"
        raise Fail("REDACT", "INVALID_TARGET", as_middle(target), text=text)
    unknown = Fail(
        "REDACT",
        "UNKNOWN_MSGID",
        as_middle(target),
        as_middle(msgid),
        text="This message does not exist or is too old",
    )

    def read(history: History) -> KeptEntry | None:
        return history.get(place.key, msgid)

    def finish(outcome: Outcome[KeptEntry | None]) -> None:
        context.resume(lambda: judge(outcome))

    def judge(outcome: Outcome[KeptEntry | None]) -> None:
        kept = outcome.value
        if kept is None or kept.redacted:  # or the store has failed, which it has logged
            raise unknown
        context.check_store(as_middle(target), as_middle(msgid))
        if context.services.history.full:
            text = "Messages cannot be deleted from the history at the moment; try again"
            names = as_middle(target), as_middle(msgid)
            raise Fail("REDACT", "TEMPORARILY_UNAVAILABLE", *names, text=text)
        _propose(context, place, target, kept, reason)

    try:
        context.services.history.read(context, read, finish)
    except StoreError as error:
        raise unknown from error
    context.hold()


def _propose(context: Context, place: Place, target: str, kept: KeptEntry, reason: str) -> None:
    entry, user = kept.entry, context.user
    if entry.account is not None or user.account is not None:
        own = entry.account == user.account
    else:  # a guest is who they are as long as they stay
        own = entry.source == user.author.source and entry.at_ms >= user.connected_ms
    names = as_middle(target), entry.msgid
    if entry.kind not in _KINDS or not may_redact(place.channel, user, own=own):
        text = "You are not authorised to delete this message"
        raise Fail("REDACT", "REDACT_FORBIDDEN", *names, text=text)
    window_s = context.services.config.history.redact_seconds
    stamp = context.stamp()
    late = window_s and stamp.at_ms - entry.at_ms > window_s * 1000
    if late and not may_redact(place.channel, user, own=False):
        text = "You can no longer delete this message"
        raise Fail("REDACT", "REDACT_WINDOW_EXPIRED", *names, str(window_s), text=text)
    context.propose(
        RedactMessage(
            stamp,
            target,
            place.key,
            entry.msgid,
            entry.source.partition("!")[0],
            entry.at_ms,
            own,
            reason,
        )
    )
