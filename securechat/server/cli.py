"""``securechat-server``: the console script."""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from securechat import __version__
from securechat.errors import ConfigError, SecureChatError, TlsError
from securechat.server import log_output, sd_notify
from securechat.server.administration.console import add_tools, run_tool
from securechat.server.administration.desk import desk_at
from securechat.server.administration.invites import first_invite
from securechat.server.administration.tools import TOOLS
from securechat.server.config import Config
from securechat.server.config_file import load_config, print_default_config
from securechat.server.relay import Relay

__all__ = ["build_parser", "main"]

_DESCRIPTION: Final = """\
A relay for a private chat: IRCv3 over TLS. Without a command it runs until it is stopped; SIGHUP
has it take its configuration and its certificate anew.

Exit codes: 0 stopped in good order, or done; 1 cannot run, or a command has found something wrong;
2 the configuration or an argument is wrong; 3 no relay runs that could answer."""


_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP")

_RELOAD: Final = bytes([getattr(signal, "SIGHUP", 255)])

_CRASH: Final = b"\0"
"""Beside the numbers of signals: what the relay itself says when it cannot go on."""

_FULL_COLLECTION: Final = 10_000
"""Collections of what has become older, after which everything is looked at: some 70 million
objects that were made and stayed."""

_FAULTY_END_S: Final = 20.0
"""How long the end of a relay with a fault may take, in seconds. It may hang on what has crashed,
and nobody would start another one; in good order it takes less than 5."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="securechat-server",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_config_flags(default=None)],
    )
    add = parser.add_argument
    add("--print-default-config", action="store_true", help="print a commented file and exit")
    add("--check-config", action="store_true", help="check the configuration and exit")
    add("--version", action="version", version=f"securechat {__version__}")
    parser.set_defaults(tool=None)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands, also for a running relay")
    # A flag that is not given behind the command must not undo the one before it.
    add_tools(commands, TOOLS, _config_flags(default=argparse.SUPPRESS))
    return parser


def _config_flags(*, default: Any) -> argparse.ArgumentParser:
    """Return what may be written before a command and behind it."""
    flags = argparse.ArgumentParser(add_help=False)
    group = flags.add_argument_group("configuration")
    add = partial(group.add_argument, default=default)
    add("--config", type=Path, metavar="FILE", help="a TOML file; see --print-default-config")
    add(
        "--listen",
        action="append",
        metavar="HOST:PORT",
        help="where to listen, repeatable; port 0 takes a free one (default: localhost:6697)",
    )
    add("--cert", metavar="FILE", help="the certificate with its chain, PEM (with --key)")
    add("--key", metavar="FILE", help="its private key, PEM (with --cert)")
    add("--client-ca", metavar="FILE", help="a CA whose client certificates log their holder in")
    add("--data", metavar="DIR", help="the folder of the database (default: data)")
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Run the console script; return the exit code."""
    parser = build_parser()
    options = parser.parse_args(argv)
    if (options.cert is None) != (options.key is None):
        parser.error("--cert and --key belong together")
    load = partial(load_config, options.config, _overrides(options))
    try:
        config = load()
        if options.print_default_config:
            defaults = load_config(None, _overrides(options))
            print(print_default_config(defaults), end="")  # noqa: T201 - what was asked for
            return 0
        if options.check_config:
            return 0
        if options.tool is not None:
            code = run_tool(options.tool, options, config)
            print(end="", flush=True)  # noqa: T201 - now we can still say that it is not possible
            return code
        return _run(config, load)
    except ConfigError as error:
        for problem in error.problems:
            _complain(problem)
        return 2
    except TlsError as error:
        _complain(f"{error}. securechat-server cert make makes a certificate and its key.")
    except SecureChatError as error:
        _complain(str(error))
    except KeyboardInterrupt:
        _complain("interrupted")
    except BrokenPipeError:  # whoever reads what we print has seen enough
        _forget_output()
    except OSError as error:
        _complain(str(error))
        _forget_output()
    return 1


def _forget_output() -> None:
    """Have nobody try at the exit to print what could not be printed."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _overrides(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return what the flags say, in the form of the configuration file."""
    given: dict[str, dict[str, Any]] = {
        "server": {"listen": options.listen},
        "tls": {
            "certificate": options.cert,
            "key": options.key,
            "client_ca": options.client_ca,
        },
        "store": {
            "path": str(Path(options.data, "securechat.db")) if options.data else None,
        },
    }
    return {
        section: {key: value for key, value in values.items() if value is not None}
        for section, values in given.items()
    }


def _run(config: Config, load: Callable[[], Config]) -> int:
    """Run the relay until a signal asks for its end, or it cannot go on."""
    log_output.apply(config.log)
    with _signals() as (asked, ask):
        _raise_descriptor_limit()
        relay = Relay(
            config,
            on_crash=partial(ask.send, _CRASH),
            load_config=load,
            on_reload=lambda taken: log_output.apply(taken.log),
        )
        log_output.apply(config.log, on_crash=relay.note_crash)  # who is mute is of no use either
        try:
            _show_first_invite(relay)
            _spare_collections()
            relay.start()
        except BaseException:
            relay.stop("The relay could not be started")  # or its threads would go on for ever
            raise
        sd_notify.notify("READY=1")
        while asked.recv(1) == _RELOAD:
            relay.begin_reload()
        return _end(relay)


def _spare_collections() -> None:
    """Have the garbage collector look at what lasts as long as the relay does as good as never.

    All stands still while it does: a tenth of a second for each thousand sessions. And in vain, as
    they leave no cycles behind, which a test holds. What has just been made is still looked at.
    """
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _FULL_COLLECTION)


@contextlib.contextmanager
def _signals() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Have each signal that is for us say its number, in a byte, on the first of two sockets.

    While inside a signal only asks for something: a half-built relay must not be torn down. They
    are not taken by handlers in Python: one that comes just before the main thread begins to wait
    would be called when that wait is over.
    """
    asked, ask = socket.socketpair()
    with asked, ask:
        ask.setblocking(False)
        signal.set_wakeup_fd(ask.fileno(), warn_on_full_buffer=False)
        for name in _SIGNALS:
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), lambda number, frame: None)
        yield asked, ask
        signal.set_wakeup_fd(-1)


def _end(relay: Relay) -> int:
    reason = "The relay is shutting down"
    sd_notify.notify("STOPPING=1")
    if relay.crash is not None:
        reason = "The relay has a fault and is stopping"
        _complain(f"a thread crashed: {relay.crash!r}")
        if sys.__stderr__ is not None:
            faulthandler.dump_traceback_later(_FAULTY_END_S, exit=True, file=sys.__stderr__)
    relay.stop(reason)
    faulthandler.cancel_dump_traceback_later()
    return 0 if relay.crash is None else 1


def _show_first_invite(relay: Relay) -> None:
    """Print how the first person gets in, where nobody can without an invite."""
    link = first_invite(desk_at(relay, None))
    if link is None:
        return
    try:
        print(  # noqa: T201 - not for the log: who has it gets in
            f"The first invite, for you; it is good for 7 days, and is not shown again:\n\n"
            f"  securechat-client '{link}'\n",
            flush=True,
        )
    except OSError as error:
        _complain(f"the first invite is not shown ({error.strerror}): securechat-server invite")
        _forget_output()


def _raise_descriptor_limit() -> None:
    """Ask for as many open files as the system allows: each connection is one."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on every system
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _complain(text: str) -> None:
    """Tell who started it; in one piece, as the log is written to the same place meanwhile."""
    print(f"securechat-server: {text}\n", end="", file=sys.stderr)  # noqa: T201 - see above
