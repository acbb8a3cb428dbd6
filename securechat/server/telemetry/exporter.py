"""The port of ``[metrics] listen``: figures for Prometheus, and whether all is well."""

from __future__ import annotations

import http
import logging
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from securechat.errors import ConfigError
from securechat.net.listener import format_address
from securechat.server.telemetry.figures import figures
from securechat.server.telemetry.http_server import HttpServer, Response

if TYPE_CHECKING:
    from securechat.server.services import Services

__all__ = ["METRICS_EXTRA", "Exporter"]

_log = logging.getLogger(__name__)

METRICS_EXTRA: Final = 'pip install "securechat[metrics]"'
"""What gives us the library of Prometheus."""


class Exporter:
    """Answers ``/metrics`` and ``/healthz``. Made, started and stopped by one thread.

    ``/healthz`` is 200 if clients are well off here, else 503 with the problems. A thread may not
    answer (``Health``): to restart the relay helps then, and only then. Or it is cut off from the
    other relays: new clients should go to one of these; those who are here stay, until it is over.

    :param addresses: as for ``Listener``. Without any there is nothing to start or stop.
    :raises ConfigError: the library is not installed.
    :raises NetworkError: an address cannot be listened on.
    """

    def __init__(self, addresses: Sequence[tuple[str, int]], services: Services) -> None:
        self._server: HttpServer | None = None
        if addresses:
            self._server = HttpServer(addresses, _pages(services), name="metrics")

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens, with the ports that were taken for 0."""
        return self._server.addresses if self._server is not None else []

    def start(self, on_crash: Callable[[BaseException], None] | None = None) -> None:
        """Begin to answer."""
        if self._server is not None:
            self._server.start(on_crash)
        for address in self.addresses:
            _log.info("listening on %s for /metrics and /healthz", format_address(*address))

    def stop(self) -> None:
        """Answer no more. Blocks until the threads have ended. Also if it was never started."""
        if self._server is not None:
            self._server.stop()


def _pages(services: Services) -> dict[str, Callable[[], Response]]:
    if find_spec("prometheus_client") is None:
        raise ConfigError([f"[metrics] listen: it needs prometheus_client: {METRICS_EXTRA}"])
    module = import_module("securechat.server.telemetry.exposition")
    exposition = module.Exposition(partial(figures, services))

    def metrics() -> Response:
        return Response(exposition.text(), content_type=module.CONTENT_TYPE)

    def health() -> Response:
        problems = services.health.problems()
        if services.cluster is not None:
            problems += filter(None, [services.cluster.event_log.standing.cut_off])
        if not problems:
            return Response(b"ok\n")
        text = "".join(f"{problem}\n" for problem in problems)
        return Response(text.encode(), http.HTTPStatus.SERVICE_UNAVAILABLE)

    return {"/metrics": metrics, "/healthz": health}
