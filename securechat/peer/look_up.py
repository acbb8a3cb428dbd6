"""Looking up where a host is, without the I/O thread waiting for it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from securechat.errors import NetworkError
from securechat.net.io_thread import IoThread
from securechat.net.threads import start_thread

__all__ = ["ADDRESSES_MOST", "LookUp"]

ADDRESSES_MOST: Final = 4
"""Addresses of one host that are of use: each that says nothing costs seconds."""


class LookUp:
    """A question to the resolver, which has a thread of its own. Owned by the I/O thread.

    :param found: called there with one numeric address or more, with ``port``, in the resolver's
        order; or
    :param failed: called there with why there is none. Neither once it is cancelled.
    """

    def __init__(
        self,
        io: IoThread,
        host: str,
        port: int,
        *,
        found: Callable[[Sequence[tuple[str, int]]], None],
        failed: Callable[[NetworkError], None],
    ) -> None:
        self._io = io
        self._found = found
        self._failed = failed
        self._cancelled = False
        start_thread("peer look-up", partial(self._ask, host, port), daemon=True)

    def cancel(self) -> None:
        """Give up; nobody is told."""
        self._cancelled = True

    def _ask(self, host: str, port: int) -> None:
        """On the thread of its own."""
        try:
            told = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            error = NetworkError("cannot find the host {host!r}; is the name right?", host=host)
            self._tell(partial(self._failed, error))
            return
        addresses = list(dict.fromkeys((str(address[0]), port) for *_, address in told))
        self._tell(partial(self._found, addresses[:ADDRESSES_MOST]))

    def _tell(self, work: Callable[[], None]) -> None:
        def tell() -> None:
            if not self._cancelled:
                work()

        self._io.post(tell)
