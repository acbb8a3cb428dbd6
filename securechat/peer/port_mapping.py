"""A way in through the router, by UPnP: a port of it that leads to the door.

Many routers at home open a port to whoever asks for it from inside (UPnP IGD). That is off unless
the user wants it, and needs the package miniupnpc; which speaks neither NAT-PMP nor PCP, so routers
that know only those are not asked.

Nobody vouches for the router's answers: whoever is in the local network can give them. All that
comes of a false one is a candidate that leads nowhere.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import random
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from ipaddress import ip_address
from typing import Any, Final

from securechat.errors import ConfigError, NetworkError, gettext_noop
from securechat.irc.peering import Candidate
from securechat.net.threads import start_thread

__all__ = ["PORT_LEASE_S", "RENEW_AFTER_S", "PortMapper", "require_package"]

_log = logging.getLogger(__name__)

PORT_LEASE_S: Final = 3_600
"""How long the router keeps a mapping that is not renewed, in seconds: if we are killed, what was
open is shut within the hour. A router that has only mappings without an end is not used."""

RENEW_AFTER_S: Final = PORT_LEASE_S / 2
"""After which a mapping is renewed, in seconds: if that fails, there is time for another try."""

SEARCH_MS: Final = 1_000
"""How long a router has to answer each of four questions, in milliseconds: all in all those at home
need a few. Where there is none, a search takes four seconds."""

EXTERNAL_PORTS: Final = range(49_152, 65_536)
"""Those from which the router's port is drawn (the dynamic ones of RFC 6335). It is another than
the door's own: at that one, the other side may have found the router shut already."""

PORT_TRIES: Final = 4
"""How many are tried, if others have got the first ones."""

_CONFLICT: Final = "ConflictInMappingEntry"
_DESCRIPTION: Final = "securechat"


def require_package() -> None:
    """Check that the package is there.

    :raises ConfigError: it is not; the text says what to do.
    """
    if find_spec("miniupnpc") is None:
        problem = gettext_noop('UPnP needs the package miniupnpc: pip install "securechat[upnp]"')
        raise ConfigError([problem])


class PortMapper:
    """Has a port mapped as long as it is open. Safe from any thread.

    It talks to the router on a thread of its own, and searches for it at once: as that takes
    seconds, but to have a port mapped then takes a moment.

    :param post: calls what it is given on the I/O thread; safe from any thread, never blocks.
    :param mapped: called there, with the port, and with where it can be reached from outside or
        ``None``, whenever that may have changed.
    :param router_url: where the router describes itself, if it need not be searched for.
    """

    def __init__(
        self,
        post: Callable[[Callable[[], None]], object],
        mapped: Callable[[int, Candidate | None], None],
        *,
        router_url: str | None = None,
    ) -> None:
        self._post = post
        self._mapped = mapped
        self._router_url = router_url
        self._router: _Router | None = None  # the thread's
        # Of ports, 0 for none, and ``None`` for the end; there is one when a door opens or shuts.
        self._wanted: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._thread = start_thread("port mapping", self._run)

    def open(self, port: int) -> None:
        """Have this port mapped, in place of any other; or make sure that it still is."""
        self._wanted.put(port)

    def shut(self) -> None:
        """Have no port mapped."""
        self._wanted.put(0)

    def close(self) -> None:
        """Have no port mapped; end the thread. Blocks for that, which may be some seconds."""
        self._wanted.put(None)
        self._thread.join()

    # ---- on its thread ----

    def _run(self) -> None:
        with _logged():
            self._router = _Router(self._router_url)
        port = 0
        while (wanted := self._next_wanted(port)) is not None:
            if wanted != port:
                self._unmap()
            port = wanted
            if port:
                self._post(partial(self._mapped, port, self._map(port)))
        self._unmap()

    def _next_wanted(self, port: int) -> int | None:
        try:
            return self._wanted.get(timeout=RENEW_AFTER_S if port else None)
        except queue.Empty:
            return port

    def _map(self, port: int) -> Candidate | None:
        """Map the port, or renew that. If the router does not, look which one there is now: we may
        be in another network than before.
        """
        if self._router is not None:
            with _logged():
                return self._router.map(port)
        self._router = None
        with _logged():
            self._router = _Router(self._router_url)
            return self._router.map(port)
        return None

    def _unmap(self) -> None:
        if self._router is not None:
            with _logged():
                self._router.unmap()


class _Router:
    """The router, and the mapping that we have there. Owned by one thread; all of it blocks.

    :param url: as of ``PortMapper``.
    :raises NetworkError: none was found. All methods: it does not do that, or not any more.
    """

    def __init__(self, url: str | None) -> None:
        self._port = 0  # its own, which is mapped
        self._igd: Any = import_module("miniupnpc").UPnP()
        self._igd.discoverdelay = SEARCH_MS
        with _translated("none answers"):
            if url is None:
                self._igd.discover()
            self._igd.selectigd(url)

    def map(self, port: int) -> Candidate:
        """Have a port of the router lead to ours for ``PORT_LEASE_S``; return which one."""
        with _translated():
            address = str(ip_address(self._igd.externalipaddress()))
        drawn = random.sample(EXTERNAL_PORTS, PORT_TRIES)
        self._port = self._map_one_of([self._port, *drawn] if self._port else drawn, port)
        return Candidate(address, self._port)

    def unmap(self) -> None:
        """Have no port lead to ours."""
        mapped, self._port = self._port, 0
        if mapped:
            with _translated():
                self._igd.deleteportmapping(mapped, "TCP")

    def _map_one_of(self, external: list[int], port: int) -> int:
        igd = self._igd
        for one in external:
            with contextlib.suppress(_Taken), _translated():
                igd.addportmapping(one, "TCP", igd.lanaddr, port, _DESCRIPTION, "", PORT_LEASE_S)
                return one
        raise NetworkError("all ports that were tried are taken")


class _Taken(NetworkError):
    """Somebody else has got that port of the router."""


@contextlib.contextmanager
def _translated(failure: str = "") -> Iterator[None]:
    """Raise what the package raises as an error of ours, with that text, or else its own."""
    try:
        yield
    except Exception as error:  # the package raises nothing more special
        kind = _Taken if str(error) == _CONFLICT else NetworkError
        raise kind(failure or str(error)) from error


@contextlib.contextmanager
def _logged() -> Iterator[None]:
    """Go on behind the block where the router fails; that is said in the log."""
    try:
        yield
    except NetworkError as error:
        _log.info("the router lets no peers in: %s", error)
