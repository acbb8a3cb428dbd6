"""The socket by which a running relay takes work: a Unix socket beside its database.

A request is one line of JSON: the name of a tool and its arguments, and with it, where the tool has
a file to write, the descriptor of that file. The answer is one line too: the result, or what is
wrong. ``remote`` is the other side.

One thread takes one request after the other. Its work may take long (a backup); the relay goes on.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import selectors
import socket
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from securechat import __version__
from securechat.errors import ConfigError, NetworkError, SecureChatError
from securechat.net.threads import Thread, start_thread
from securechat.server.administration.desk import desk_at
from securechat.server.administration.tool import Tool
from securechat.server.config import Config

if TYPE_CHECKING:
    from securechat.server.relay import Relay

__all__ = ["REQUEST_BYTES", "ControlSocket", "control_path", "short_path"]

_log = logging.getLogger(__name__)

REQUEST_BYTES: Final = 65_536
"""The longest request: names, a password and a reason are some hundred bytes."""

_REQUEST_S: Final = 10.0
"""How long a request may take to come, in seconds: until then no other is taken."""

_PATH_BYTES: Final = 100
"""Longest path of a Unix socket that every system takes (``sun_path`` has 104 to 108 bytes)."""

_BACKLOG: Final = 8
"""People, and scripts of theirs, who may wait for their turn."""


def control_path(config: Config) -> Path:
    """Return where the socket of a relay with this configuration is."""
    return config.store.path.with_suffix(".sock")


@contextlib.contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Give a name of ``path`` that is short enough for a socket, while inside.

    :raises OSError: there is no such folder, or no short name for it on this system.
    """
    if len(os.fsencode(path)) <= _PATH_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"  # Linux; elsewhere the system refuses it
    finally:
        os.close(folder)


class ControlSocket:
    """Takes work for ``relay``. Made, started and stopped by one thread.

    :raises NetworkError: there can be no socket at the path.
    """

    def __init__(self, relay: Relay, path: Path, tools: Iterable[Tool]) -> None:
        self._relay = relay
        self._path = path
        self._tools = {tool.name: tool for tool in tools if tool.at_relay}
        self._listening = _listen(path)
        self._receiver, self._waker = socket.socketpair()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begin to take work."""
        self._thread = start_thread("control", self._run, on_crash=self._relay.note_crash)

    def stop(self) -> None:
        """Take no more; wait for what is being done; remove the socket. Blocks."""
        self._waker.send(b"\0")
        if self._thread is not None:
            self._thread.join()
        self._listening.close()
        self._receiver.close()
        self._waker.close()
        self._path.unlink(missing_ok=True)

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._receiver, selectors.EVENT_READ)
            selector.register(self._listening, selectors.EVENT_READ)
            while not any(key.fileobj is self._receiver for key, _ in selector.select()):
                try:
                    sock, _ = self._listening.accept()
                except OSError:  # gone again, or no descriptor left
                    continue
                with sock:
                    self._serve(sock)

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(_REQUEST_S)
        try:
            request, output = _receive(sock)
        except (OSError, ValueError) as error:
            _log.warning("a request for administration could not be read: %s", error)
            return
        answer = self._answer(request, output)
        with contextlib.suppress(OSError):  # the work has flushed it, and has said what was wrong
            if output is not None:
                output.close()
        with contextlib.suppress(OSError):  # nobody waits for it any more
            sock.sendall(json.dumps(answer).encode() + b"\n")

    def _answer(self, request: Mapping[str, Any], output: IO[bytes] | None) -> dict[str, Any]:
        name = request.get("tool")
        tool = self._tools.get(name) if isinstance(name, str) else None
        arguments = request.get("arguments")
        if tool is None or not isinstance(arguments, dict):
            return _error(
                f"the relay that runs is securechat {__version__} and does not know this command; "
                "restart it if it is of another version"
            )
        try:
            result = tool.work(desk_at(self._relay, output), arguments)
        except ConfigError as error:
            return {"problems": list(error.problems)}
        except SecureChatError as error:
            return _error(str(error))
        except Exception:  # noqa: BLE001 - a bug in one command must not end the relay
            _log.exception("the command %s failed", tool.name)
            return _error("an internal error; it is in the log of the relay")
        _log.info("done for the administrator: %s", tool.name)
        return {"result": result}


def _error(text: str) -> dict[str, Any]:
    return {"error": text}


def _listen(path: Path) -> socket.socket:
    if not hasattr(socket, "AF_UNIX"):
        raise NetworkError("this system has no Unix sockets")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(path.lstat().st_mode):
                path.unlink()  # of a relay that was killed: the database is ours alone
        with short_path(path) as name:
            sock.bind(name)
        path.chmod(0o600)  # before anybody can connect
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        taken = error.errno == errno.EADDRINUSE
        reason = "there is something else of that name" if taken else error.strerror
        raise NetworkError(
            "cannot listen on {path}: {reason}", path=path, reason=reason or error
        ) from error
    return sock


def _receive(sock: socket.socket) -> tuple[dict[str, Any], IO[bytes] | None]:
    """Return a request, and the file that came with it.

    :raises OSError: it did not come; ``ValueError``: it is none.
    """
    with contextlib.ExitStack() as unused:
        data, descriptors, _, _ = socket.recv_fds(sock, REQUEST_BYTES, 1)
        files = [os.fdopen(descriptor, "wb") for descriptor in descriptors]
        for file in files:
            unused.enter_context(file)
        while not data.endswith(b"\n"):
            more = sock.recv(REQUEST_BYTES)
            data += more
            if not more or len(data) > REQUEST_BYTES:
                raise ValueError("it has no end")
        request = json.loads(data)
        if not isinstance(request, dict):
            raise ValueError("it is not an object")
        unused.pop_all()
    return request, files[0] if files else None
