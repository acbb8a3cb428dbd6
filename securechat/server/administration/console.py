"""The command line of the tools: reads what a person wants, has it done, shows what came of it."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any

from securechat.errors import ConfigError, SecureChatError
from securechat.server.administration.desk import desk_on_files
from securechat.server.administration.remote import ask_relay, connect_to_relay
from securechat.server.administration.tool import Tool
from securechat.server.config import Config

__all__ = ["add_tools", "run_tool"]


def add_tools(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    tools: Collection[Tool],
    common: argparse.ArgumentParser,
) -> None:
    """Add a command for each tool, with the flags of ``common``; ``options.tool`` will be it.

    A group of commands that has a ``list`` shows it when nothing else is asked for.
    """
    groups: dict[str, argparse._SubParsersAction[argparse.ArgumentParser]] = {}
    listing = {
        tool.name.removesuffix(" list"): tool for tool in tools if tool.name.endswith(" list")
    }
    for tool in tools:
        first, _, second = tool.name.partition(" ")
        place, word = commands, first
        if second:
            if first not in groups:
                alone = listing.get(first)
                group = commands.add_parser(
                    first, help=f"{first} …: see {first} --help", parents=[common]
                )
                groups[first] = group.add_subparsers(metavar="WHAT", required=alone is None)
                if alone is not None:
                    alone.configure(group)
                    group.set_defaults(tool=alone)
            place, word = groups[first], second
        parser = place.add_parser(
            word, help=tool.summary, description=tool.summary, parents=[common]
        )
        tool.configure(parser)
        parser.set_defaults(tool=tool)


def run_tool(tool: Tool, options: argparse.Namespace, config: Config) -> int:
    """Have ``tool`` done, in the relay that runs or on the files, and show the result.

    Returns the exit code. Raises ``SecureChatError``; an output file that was begun is gone then.
    """
    arguments = tool.prepare(options, config)
    with _output_file(tool.output(options)) as output:
        result = _work(tool, arguments, config, output)
    return tool.show(result, options)


def _work(tool: Tool, arguments: Any, config: Config, output: IO[bytes] | None) -> Any:
    connection = connect_to_relay(config) if tool.at_relay else None
    if connection is not None:
        with connection:
            return ask_relay(connection, tool, arguments, output)
    with desk_on_files(config, output) as desk:
        return tool.work(desk, arguments)


@contextlib.contextmanager
def _output_file(path: Path | None) -> Iterator[IO[bytes] | None]:
    """Make a new file, readable by its owner only; it stays only if all goes well."""
    if path is None:
        yield None
        return
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except OSError as error:
        raise ConfigError([f"{path}: cannot be made ({error.strerror})"]) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):  # also of closing a file that could not be written
            raise SecureChatError(
                "cannot write {path}: {reason}", path=path, reason=error.strerror
            ) from error
        raise
