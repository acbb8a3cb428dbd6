"""What a command of ``securechat-server`` is."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from securechat.server.administration.desk import Desk
from securechat.server.config import Config

__all__ = ["Arguments", "Tool", "no_arguments"]

Arguments = Mapping[str, Any]
"""What a command is given, as JSON has it. It comes through a socket: the work checks it."""


def no_arguments(options: argparse.Namespace, config: Config) -> Arguments:
    """Return nothing: the command needs no more than its name."""
    return {}


@dataclass(frozen=True, slots=True)
class Tool:
    """A command. Immutable.

    ``name``: its words, such as ``account add``. ``summary``: what it does, in a few words.

    ``work(desk, arguments)`` does it and returns its result, as JSON has it. It runs in the relay
    or on the files, may block, and raises ``SecureChatError`` for what a person should read, with
    ``ConfigError`` for arguments that are wrong. It touches no terminal and no file of the person,
    but for ``desk.output``, which it flushes.

    The others run where the person is. ``configure(parser)`` says what can be written behind the
    name. ``prepare(options, config)`` makes the arguments of that, asking for what is missing; it
    raises ``ConfigError`` too. ``show(result, options)`` prints the result and returns the exit
    code. ``output(options)``: the file that ``desk.output`` is to write; it must not exist yet.

    Without ``at_relay`` the work is never given to a running relay, but done where the person is,
    at a desk on the files: it may read the person's files, and finds out itself whether a relay is
    in its way.

    Without ``changes`` the work only looks. A running relay does it beside other work, and does not
    tell of it in its log, but for what writes into ``desk.output``: how it is, is asked often.
    """

    name: str
    summary: str
    work: Callable[[Desk, Arguments], Any]
    show: Callable[[Any, argparse.Namespace], int]
    configure: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    prepare: Callable[[argparse.Namespace, Config], Arguments] = no_arguments
    output: Callable[[argparse.Namespace], Path | None] = lambda options: None
    at_relay: bool = True
    changes: bool = True
