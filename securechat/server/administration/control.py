"""The socket by which a running relay takes work: a Unix socket beside its database.

A request is one line of JSON: the name of a tool and its arguments, and with it, where the tool has
a file to write, the descriptor of that file. The answer is one line too: the result, or what is
wrong. ``remote`` is the other side.

One thread takes the requests. A second one makes changes, one after the other; what only looks is
done on a thread of its own: whoever asks how the relay is does not wait for the end of a backup, or
of an account with all that it has said. The work may take long; the relay goes on.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import queue
import selectors
import socket
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
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

_LOOKING_MOST: Final = 8
"""Pieces of work that may be done beside others: each has a thread, and a connection to the
database. One more is done among the changes."""

_CHANGES_MOST: Final = 8
"""Changes that may wait; then the next request waits too."""

_PATH_BYTES: Final = 100
"""Longest path of a Unix socket that every system takes (``sun_path`` has 104 to 108 bytes)."""

_BACKLOG: Final = 8
"""People, and scripts of theirs, who may wait for their turn."""


def control_path(config: Config) -> Path:
    """Return where the socket of a relay with this configuration is.

    Beside the database, or where that would be; one of several relays has its name in it, as they
    may have one folder.
    """
    path, relay = config.store.path, config.cluster.relay
    return path.with_name(f"{path.stem}-{relay}.sock") if relay else path.with_suffix(".sock")


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
        self._threads: list[Thread] = []
        self._changes: queue.Queue[Callable[[], None] | None] = queue.Queue(_CHANGES_MOST)
        self._looking: list[Thread] = []  # of the thread that takes requests, until that has ended

    def start(self) -> None:
        """Begin to take work."""
        for name, run in (("control", self._run), ("control-changes", self._make_changes)):
            self._threads.append(start_thread(name, run, on_crash=self._relay.note_crash))

    def stop(self) -> None:
        """Take no more; wait for the changes that were asked for; remove the socket. Blocks.

        What only looks may go on: see ``wait``.
        """
        self._waker.send(b"\0")
        for thread in self._threads:
            thread.join()
        self._listening.close()
        self._receiver.close()
        self._waker.close()
        with contextlib.suppress(OSError):  # it has gone, or the file system is read-only by now
            self._path.unlink()

    def wait(self) -> None:
        """Wait for all that is still being done; for after ``stop``. Blocks, perhaps for long."""
        for thread in self._looking:
            thread.join()

    def _run(self) -> None:
        try:
            self._take_requests()
        finally:
            self._changes.put(None)  # also if this thread has crashed: the other must end

    def _take_requests(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._receiver, selectors.EVENT_READ)
            selector.register(self._listening, selectors.EVENT_READ)
            while not any(key.fileobj is self._receiver for key, _ in selector.select()):
                try:
                    sock, _ = self._listening.accept()
                except OSError:  # gone again, or no descriptor left
                    continue
                self._take(sock)

    def _make_changes(self) -> None:
        while (change := self._changes.get()) is not None:
            change()

    def _take(self, sock: socket.socket) -> None:
        """Receive a request, and see that it is answered."""
        with contextlib.ExitStack() as unused:
            unused.enter_context(sock)
            try:
                received = _receive(sock)
            except (OSError, ValueError, RecursionError) as error:
                _log.warning("a request for administration could not be read: %s", error)
                return
            if received is None:
                return
            unused.pop_all()
        request, output = received
        name = request.get("tool")
        tool = self._tools.get(name) if isinstance(name, str) else None
        serve = partial(self._serve, sock, tool, request.get("arguments"), output)
        self._looking = [thread for thread in self._looking if thread.is_alive()]
        if tool is None or tool.changes or len(self._looking) >= _LOOKING_MOST:
            self._changes.put(serve)
        else:
            crashed = self._relay.note_crash
            self._looking.append(start_thread("control-looking", serve, on_crash=crashed))

    def _serve(
        self, sock: socket.socket, tool: Tool | None, arguments: Any, output: IO[bytes] | None
    ) -> None:
        with sock:
            answer = self._answer(tool, arguments, output)
            with contextlib.suppress(OSError):  # of which the work has told, when it flushed it
                if output is not None:
                    output.close()
            with contextlib.suppress(OSError):  # nobody waits for it any more
                sock.settimeout(_REQUEST_S)
                sock.sendall(json.dumps(answer).encode() + b"\n")

    def _answer(
        self, tool: Tool | None, arguments: Any, output: IO[bytes] | None
    ) -> dict[str, Any]:
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
        told = tool.changes or output is not None
        _log.log(
            logging.INFO if told else logging.DEBUG, "done for the administrator: %s", tool.name
        )
        return {"result": result}


def _error(text: str) -> dict[str, Any]:
    return {"error": text}


def _listen(path: Path) -> socket.socket:
    if not hasattr(socket, "AF_UNIX"):
        raise NetworkError("this system has no Unix sockets")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # else the database has made it
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(path.lstat().st_mode):
                if _answers(path):
                    raise NetworkError("another relay listens on {path}", path=path)
                path.unlink()  # of a relay that was killed
        with short_path(path) as name:
            sock.bind(name)
        path.chmod(0o600)  # before anybody can connect
        sock.listen(_BACKLOG)
    except NetworkError:
        sock.close()
        raise
    except OSError as error:
        sock.close()
        taken = error.errno == errno.EADDRINUSE
        reason = "there is something else of that name" if taken else error.strerror
        raise NetworkError(
            "cannot listen on {path}: {reason}", path=path, reason=reason or error
        ) from error
    return sock


def _answers(path: Path) -> bool:
    """Whether a relay listens there. It need not be on our database, which may be on a server."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock, short_path(path) as name:
        sock.setblocking(False)
        try:
            sock.connect(name)
        except BlockingIOError:  # there is, and many wait for it
            return True
        except OSError:
            return False
    return True


def _receive(sock: socket.socket) -> tuple[dict[str, Any], IO[bytes] | None] | None:
    """Return a request, and the file that came with it; ``None`` from whoever only knocks.

    :raises OSError: it did not come in time; ``ValueError``, ``RecursionError``: it is none.
    """
    deadline = time.monotonic() + _REQUEST_S
    with contextlib.ExitStack() as unused:
        sock.settimeout(_REQUEST_S)
        data, descriptors, _, _ = socket.recv_fds(sock, REQUEST_BYTES, 1)
        files = [os.fdopen(descriptor, "wb") for descriptor in descriptors]
        for file in files:
            unused.enter_context(file)
        if not data:
            return None
        while not data.endswith(b"\n"):
            sock.settimeout(max(deadline - time.monotonic(), 0.001))  # 0 would mean: do not wait
            more = sock.recv(REQUEST_BYTES)
            data += more
            if not more or len(data) > REQUEST_BYTES:
                raise ValueError("it has no end")
        request = json.loads(data)
        if not isinstance(request, dict):
            raise ValueError("it is not an object")
        unused.pop_all()
    return request, files[0] if files else None
