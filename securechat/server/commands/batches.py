"""BATCH from clients: messages of several lines.

https://ircv3.net/specs/extensions/client-batch, https://ircv3.net/specs/extensions/multiline
"""

from __future__ import annotations

import re
from typing import Final

from securechat.irc import capabilities as caps
from securechat.irc import numerics
from securechat.irc.message import Message
from securechat.irc.multiline import BATCH_TYPE
from securechat.server.client_batch import ClientBatch, drop_batch, invalid_batch
from securechat.server.commands.messaging import relayed_tags, say
from securechat.server.context import Context, as_middle
from securechat.server.dispatch import command, run
from securechat.server.refusals import Fail, Refusal

__all__: list[str] = []

_NEEDED: Final = caps.BATCH | caps.MULTILINE

_REFERENCE: Final = re.compile("[A-Za-z0-9-]+")
""" "Reference tag MUST contain only ASCII letters, numbers, and/or hyphen" """


@command("BATCH", least=1, overtakes=True)
def batch(context: Context, message: Message) -> None:
    """BATCH +<reference> <type> [<parameter>…] | -<reference>.

    Begin or end a message of several lines; clients do this by themselves.
    """
    sign, reference = message.params[0][:1], message.params[0][1:]
    if sign == "+":
        _open(context, message, reference)
    elif sign == "-":
        _close(context, message, reference)
    else:
        raise _bad_reference(message.params[0])


def _open(context: Context, message: Message, reference: str) -> None:
    session = context.session
    already = session.batch is not None
    drop_batch(context)
    session.dropped_batch = reference  # unless all is well: its lines are to be ignored
    if already or "batch" in message.tags:
        raise invalid_batch("Only one batch at a time, and none inside another")
    if not _REFERENCE.fullmatch(reference):
        raise _bad_reference(reference)
    if len(message.params) < 2:
        raise Refusal(numerics.ERR_NEEDMOREPARAMS, message.command)
    kind = message.params[1]
    if kind != BATCH_TYPE or session.caps & _NEEDED != _NEEDED:
        text = "There is no such type of batch"
        raise Fail("BATCH", "UNKNOWN_TYPE", reference, as_middle(kind), text=text)
    target = as_middle(message.params[2]) if len(message.params) > 2 else "*"
    if target == "*":
        raise invalid_batch("The batch has no target")
    timeout_s = context.services.config.limits.batch_timeout_s
    session.dropped_batch = ""
    session.batch = ClientBatch(
        reference,
        target,
        relayed_tags(context, message),
        context.label,
        session.connection.thread.call_later(timeout_s, lambda: _time_out(context, reference)),
    )
    context.label = ""  # the answer comes with the end


def _close(context: Context, message: Message, reference: str) -> None:
    session = context.session
    batch = session.batch
    if batch is None and reference and reference == session.dropped_batch:
        session.dropped_batch = ""
        return
    drop_batch(context)
    if batch is None or reference != batch.reference or "batch" in message.tags:
        raise invalid_batch("There is no such batch")
    session.dropped_batch = ""
    context.label = batch.label
    say(context, batch.kind, [batch.target], batch.text(), batch.tags)


def _time_out(opening: Context, reference: str) -> None:
    """End a batch that its client has left open."""
    context = Context(opening.services, opening.session, Message("BATCH"))

    def give_up() -> None:
        drop_batch(context)
        raise Fail("BATCH", "TIMEOUT", reference, text="The batch was left open for too long")

    run(context, give_up)


def _bad_reference(reference: str) -> Fail:
    text = "Only letters, digits and hyphens are allowed in a reference"
    return Fail("BATCH", "INVALID_REFTAG", as_middle(reference), text=text)
