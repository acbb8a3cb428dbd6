"""From a line to its handler: the command table, and every check that commands share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from securechat.errors import RemoteProtocolError
from securechat.irc import capabilities as caps
from securechat.irc import numerics
from securechat.irc.framing import Overlong
from securechat.irc.message import NO_TAGS, Message
from securechat.irc.tags import parse_tags
from securechat.server.client_batch import collected
from securechat.server.context import Context
from securechat.server.refusals import Fail, Refusal
from securechat.server.telemetry.counters import Mishap

if TYPE_CHECKING:
    from securechat.server.services import Services
    from securechat.server.session import Session

__all__ = ["Command", "build_table", "command", "dispatch", "run"]

_log = logging.getLogger(__name__)

Handler = Callable[[Context, Message], "Iterator[None] | None"]
"""Does a command. One whose answer may be long is a generator, and yields after each step of it."""


@dataclass(frozen=True, slots=True)
class Command:
    """An entry of the command table. Immutable.

    ``least`` parameters are needed. ``early`` commands may come before the registration is
    complete; ``operator`` ones need OPER. ``overtakes``: it may be done before earlier messages are
    acknowledged, since its answers tell nothing of the state. ``later``: it makes so much work, for
    all who hear of it, that others have their turn first. ``syntax`` and ``help`` are what HELP
    prints.
    """

    name: str
    handler: Handler
    least: int
    early: bool
    operator: bool
    overtakes: bool
    later: bool
    syntax: str
    help: str


def command(
    name: str,
    *,
    least: int = 0,
    early: bool = False,
    operator: bool = False,
    overtakes: bool = False,
    later: bool = False,
) -> Callable[[Handler], Command]:
    """Make a handler the entry of ``name``. Records, and does nothing else.

    The first line of the handler's docstring is its syntax, the rest its help.
    """

    def record(handler: Handler) -> Command:
        syntax, _, text = (handler.__doc__ or "").partition("\n")
        lines = [line.strip() for line in text.strip().splitlines()]
        return Command(
            name,
            handler,
            least,
            early,
            operator,
            overtakes,
            later,
            syntax.strip().rstrip("."),
            "\n".join(lines),
        )

    return record


def build_table(modules: Iterable[ModuleType]) -> Mapping[str, Command]:
    """Return the entries of ``modules`` by name; a name given twice is an error."""
    table: dict[str, Command] = {}
    for module in modules:
        for entry in vars(module).values():
            if isinstance(entry, Command):
                if entry.name in table:
                    raise ValueError(f"two handlers for {entry.name}")
                table[entry.name] = entry
    return table


def dispatch(services: Services, session: Session, line: bytes | Overlong) -> None:
    """Handle one line of ``session``, on its thread. Raises nothing."""
    if isinstance(line, Overlong):
        tags = _label_only(parse_tags(line.tag_data.decode(errors="replace")))
        context = Context(services, session, Message("*", tags=tags))
        run(context, lambda: context.refuse(Refusal(numerics.ERR_INPUTTOOLONG)))
        return
    try:
        message = Message.parse(line.decode())
    except UnicodeDecodeError:
        _refuse_encoding(services, session, line)
        return
    except RemoteProtocolError as error:
        context = Context(services, session, Message("*"))
        refusal = _unreadable(session, str(error))
        run(context, lambda: context.refuse(refusal))
        return
    context = Context(services, session, message)
    run(context, lambda: _handle(services, context, message))


def _refuse_encoding(services: Services, session: Session, line: bytes) -> None:
    """Answer a line that is not UTF-8, by its command and label if these can be read."""
    try:
        read = Message.parse(line.decode(errors="replace"))
    except RemoteProtocolError:
        read = Message("*")
    name = read.command if read.command in services.commands else "*"
    context = Context(services, session, Message(name, tags=_label_only(read.tags)))
    text = "Message rejected, your client must use UTF-8"
    run(context, lambda: context.refuse(Fail(name, "INVALID_UTF8", text=text)))


def _label_only(tags: Mapping[str, str]) -> Mapping[str, str]:
    """Return the label among ``tags``, if there is one that was UTF-8."""
    label = tags.get("label", "")
    return {"label": label} if label and "\ufffd" not in label else NO_TAGS


def _unreadable(session: Session, text: str) -> Refusal | Fail:
    # "This capability allows servers to send arbitrary standard replies other than ones enabled by
    # a specific specification."
    if session.caps & caps.STANDARD_REPLIES:
        return Fail("*", "INVALID_MESSAGE", text=text)
    return Refusal(numerics.ERR_UNKNOWNERROR, "*", text=text)


def run(context: Context, work: Callable[[], None]) -> None:
    """Do ``work`` for ``context`` under the network lock, answer, then write the log.

    What ``work`` refuses is answered. A bug in it ends the command, not the session.
    """
    with context.services.lock:
        crash = None
        try:
            work()
        except (Refusal, Fail) as refusal:
            context.refuse(refusal)
        except Exception as error:  # noqa: BLE001 - one command's bug is not the relay's end
            crash = error
            name = context.message.command
            context.reply(numerics.ERR_UNKNOWNERROR, name, "Internal error; it has been logged")
        notes = context.finish()
    if crash is not None:
        context.services.counters.count(Mishap.COMMAND_CRASHED)
        _log.error("%s failed", context.message.command, exc_info=crash)
    for note in notes:
        _log.info("%s %s", context.session.label, note)


def _handle(services: Services, context: Context, message: Message) -> None:
    session = context.session
    if session.ended:  # by another's command, while this line waited for the lock
        context.label = ""  # or it would be acknowledged
        return
    entry = services.commands.get(message.command)
    if session.must_wait(overtakes=entry is not None and entry.overtakes):
        session.go_on_when_stored(context, lambda: _handle(services, context, message))
        return
    registered = session.registration.complete
    if not registered:
        session.registration.commands += 1
    batched = session.batch is not None or (message.tags and "batch" in message.tags and registered)
    if batched and collected(context, message):
        return
    if entry is None:
        if not registered:
            raise Refusal(numerics.ERR_NOTREGISTERED)
        raise Refusal(numerics.ERR_UNKNOWNCOMMAND, message.command)
    if not registered and not entry.early:
        raise Refusal(numerics.ERR_NOTREGISTERED)
    if len(message.params) < entry.least:
        raise Refusal(numerics.ERR_NEEDMOREPARAMS, message.command)
    if entry.operator and "o" not in context.user.modes:
        raise Refusal(numerics.ERR_NOPRIVILEGES)
    if entry.later:
        context.hold()
        session.go_on_later(context, lambda: _do(entry, context, message))
    else:
        _do(entry, context, message)


def _do(entry: Command, context: Context, message: Message) -> None:
    steps = entry.handler(context, message)
    if steps is not None:
        context.work_through(steps)
