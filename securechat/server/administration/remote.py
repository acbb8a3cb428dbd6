"""Giving work to a running relay; see ``control`` for what is spoken."""

from __future__ import annotations

import json
import os
import socket
from typing import IO, Any

from securechat.errors import ConfigError, NetworkError, SecureChatError
from securechat.server.administration.control import REQUEST_BYTES, control_path, short_path
from securechat.server.administration.tool import Arguments, Tool
from securechat.server.config import Config

__all__ = ["ask_relay", "connect_to_relay"]


def connect_to_relay(config: Config) -> socket.socket | None:
    """Return a connection to the relay that runs with ``config``, ``None`` if none runs.

    :raises NetworkError: one may run, but we cannot get to it.
    """
    if not hasattr(socket, "AF_UNIX"):
        return None
    path = control_path(config)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with short_path(path) as name:
            sock.connect(name)
    except (FileNotFoundError, ConnectionRefusedError):  # refused: it was killed
        sock.close()
        return None
    except OSError as error:
        sock.close()
        advice = " Are you the user that the relay runs as, or root?"
        raise NetworkError(
            "cannot talk to the relay through {path}: {reason}.{advice}",
            path=path,
            reason=error.strerror or error,
            advice=advice if isinstance(error, PermissionError) else "",
        ) from error
    return sock


def ask_relay(
    sock: socket.socket, tool: Tool, arguments: Arguments, output: IO[bytes] | None = None
) -> Any:
    """Have the relay do the work of ``tool``; return its result. Blocks until it is done.

    :raises ConfigError: the arguments are wrong.
    :raises SecureChatError: what the work has raised, or the relay has ended.
    """
    request = json.dumps({"tool": tool.name, "arguments": arguments}).encode() + b"\n"
    if len(request) > REQUEST_BYTES:
        raise ConfigError(["what was given is too long"])
    files = [output.fileno()] if output is not None else []
    try:
        socket.send_fds(sock, [request], files)
        with sock.makefile("rb") as answers:
            line = answers.readline()
    except OSError as error:
        raise NetworkError(
            "the relay has ended before it answered: {reason}", reason=os.strerror(error.errno or 0)
        ) from error
    if not line.endswith(b"\n"):
        raise NetworkError("the relay has ended before it answered; its log may say why")
    answer = json.loads(line)
    if "problems" in answer:
        raise ConfigError(answer["problems"])
    if "error" in answer:
        raise SecureChatError(answer["error"])
    return answer["result"]
