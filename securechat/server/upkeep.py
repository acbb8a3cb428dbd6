"""What a relay needs while it runs: a new configuration or certificate, and a look at its health.

All of it is done by the ``Caretaker``: what is here may do file I/O, and waits for nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

from securechat.errors import TlsError
from securechat.server import sd_notify
from securechat.server.admission import Admission
from securechat.server.caretaker import Duty
from securechat.server.certificate import WARN_DAYS, CertificateFiles
from securechat.server.config import Config
from securechat.server.reload import changed_settings, take_config, with_fixed
from securechat.server.services import Services

__all__ = ["Upkeep", "admission_limits"]

_log = logging.getLogger(__name__)

_TICK_S: Final = 1.0
"""How often it is looked after the threads and the store, in seconds."""

_WATCH_S: Final = 10.0
"""How often it is looked whether the certificate's files have changed, in seconds."""

_DAY_S: Final = 86_400.0


def admission_limits(config: Config) -> tuple[int, int, list[str]]:
    """Return what ``Admission`` goes by."""
    exempt = [network for gateway in config.webirc for network in gateway.addresses]
    return config.limits.connections, config.limits.connections_per_address, exempt


class Upkeep:
    """Looks after one relay. Made before its caretaker starts; then only that one's thread uses it.

    :param load_config: returns the configuration anew; does file I/O, raises ``ConfigError``.
    :param on_reload: told the configuration that was taken.
    """

    def __init__(
        self,
        services: Services,
        certificate: CertificateFiles,
        admission: Admission,
        load_config: Callable[[], Config],
        on_reload: Callable[[Config], None],
    ) -> None:
        self._services = services
        self._certificate = certificate
        self._admission = admission
        self._load_config = load_config
        self._on_reload = on_reload

    def duties(self) -> Iterator[Duty]:
        """Yield what is to be done again and again."""
        yield Duty(_TICK_S, self._services.health.tick)
        yield Duty(_TICK_S, self.look_after_store)
        yield Duty(_WATCH_S, self.watch_certificate)
        yield Duty(_DAY_S, self.warn_of_certificate)
        interval_s = sd_notify.watchdog_interval_s()
        if interval_s is not None:
            yield Duty(interval_s, self._tell_watchdog)

    def reload(self, *, lead: bool = True) -> list[str]:
        """Take the configuration and the certificate anew; return what a person should know of it.

        What cannot be used changes nothing.

        :param lead: as for ``take_config``.
        :raises ConfigError: the configuration cannot be used.
        :raises TlsError: the certificate, key or CA cannot be used.
        """
        running = self._services.config
        wanted = self._load_config()
        config = with_fixed(running, wanted)
        certificate = self._certificate.read(config.tls)
        take_config(self._services, config, lead=lead)
        self._certificate.serve(config.tls, certificate)
        self._admission.configure(*admission_limits(config))
        lines = [_say("taken", changed_settings(running, config))]
        fixed = changed_settings(config, wanted)
        lines += [_say("not before a restart", fixed)] if fixed else []
        lines.append(f"the certificate is valid for {self.days_left()} days")
        self._on_reload(config)  # before it is told: all that follows is in the new log
        for line in lines:
            _log.info("reload: %s", line)
        self.warn_of_certificate()
        return lines

    def watch_certificate(self) -> None:
        """Take the certificate if its files have changed."""
        try:
            if self._certificate.reread():
                _log.info("new certificate, valid for %d days", self.days_left())
                self.warn_of_certificate()
        except TlsError as error:
            _log.error("the certificate has changed, and cannot be used: %s", error)

    def warn_of_certificate(self) -> None:
        """Say in the log if the certificate ends soon, or has ended."""
        days = self.days_left()
        if days < WARN_DAYS:
            end = f"ends in {days} days" if days >= 0 else "HAS EXPIRED: no client connects"
            _log.warning("the certificate %s; renew it: securechat-server cert renew", end)

    def days_left(self) -> int:
        """Return for how many whole days the certificate is still valid."""
        now = datetime.fromtimestamp(self._services.wall_clock(), UTC)
        return self._certificate.served.days_left(now)

    def look_after_store(self) -> None:
        """See whether a store that could not write can again; have kept what waits for that."""
        services = self._services
        if services.store.trouble:
            services.store.try_again()
            return
        with services.lock:
            services.event_log.keep_again()

    def _tell_watchdog(self) -> None:
        """Tell systemd that all threads answer. If one does not, the relay is to be restarted."""
        problems = self._services.health.problems()
        if problems:
            _log.error("%s", "; ".join(problems))
        else:
            sd_notify.notify("WATCHDOG=1")


def _say(what: str, settings: list[tuple[str, str]]) -> str:
    names = ", ".join(f"[{section}] {key}".rstrip() for section, key in settings)
    return f"{what}: {names or 'nothing has changed'}"
