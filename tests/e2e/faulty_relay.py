"""The real relay with a fault, which shows when a client says ADMIN.

``python -m tests.e2e.faulty_relay FAULT FLAGS…``: the flags are those of ``securechat-server``,
``FAULT`` is a name in ``FAULTS``. ADMIN itself does what it always does, if it is not the fault.
``impatient`` is none: see ``be_impatient``.
"""

from __future__ import annotations

import dataclasses
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from securechat.irc.message import Message
from securechat.net.listener import Listener
from securechat.server import cli
from securechat.server.administration.control import ControlSocket
from securechat.server.caretaker import Caretaker
from securechat.server.commands import COMMANDS
from securechat.server.context import Context
from securechat.server.log_output import LogOutput
from securechat.server.relay import Relay
from securechat.server.store_thread import StoreThread
from securechat.store import database, sqlite_database


class Fault(BaseException):
    """Not an ``Exception``: what keeps a bug in a handler from others does not keep this."""


def crash(*args: Any, **kwargs: Any) -> Any:
    raise Fault("injected")


def bug(context: Context) -> None:
    raise RuntimeError("a bug in a handler")


def io_thread(context: Context) -> None:
    crash()


def hash_thread(context: Context) -> None:
    context.services.authenticator._hashers.submit(crash)


def broken(
    owner: type, name: str, function: Callable[..., Any] = crash
) -> Callable[[Context], None]:
    """Return what puts ``function`` in the place of another one, from now on."""
    return lambda context: setattr(owner, name, function)


def stuck(context: Context) -> None:
    """Have the relay crash, and then hang on what has crashed, for longer than it may."""
    broken(Relay, "stop", lambda relay, reason: threading.Event().wait())(context)
    vars(cli)["_FAULTY_END_S"] = 0.2
    crash()


FAULTS: Final[Mapping[str, Callable[[Context], None]]] = {
    "handler": bug,
    "io": io_thread,
    "stuck": stuck,
    "hash": hash_thread,
    "store": broken(StoreThread, "_take"),
    "accept": broken(Listener, "_accept_one"),
    "control": broken(ControlSocket, "_take"),
    "caretaker": broken(Caretaker, "_do_duty"),
    "log": broken(LogOutput, "_write"),
}


def be_impatient() -> None:
    """Wait for the locks of other programs for a tenth of the time."""
    for module in (sqlite_database, database):
        vars(module)["BUSY_TIMEOUT_MS"] //= 10


def main(fault: str, flags: list[str]) -> int:
    if fault == "impatient":
        be_impatient()
        return cli.main(flags)
    admin = COMMANDS["ADMIN"]

    def handler(context: Context, message: Message) -> Any:
        FAULTS[fault](context)
        return admin.handler(context, message)

    COMMANDS["ADMIN"] = dataclasses.replace(admin, handler=handler)  # type: ignore[index]  # a dict
    return cli.main(flags)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
