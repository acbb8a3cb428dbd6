"""Finding the relays of a domain by the DNS: SRV records (RFC 2782).

Nobody vouches for the answers of the DNS. What they say is a hint where to look: each relay must
show a certificate for its own name, by the CA that the user has chosen. With a CA of the chat's own
a forged answer leads to another relay of the same chat, or to a refusal; that is why none is asked
for without such a CA.

``dnspython`` is an extra; it is loaded when there is something to look up.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from securechat.client.relays import RELAYS_LIMIT, RelayAddress, check_host
from securechat.errors import ConfigError, NetworkError, gettext_noop

__all__ = ["SrvRecord", "in_order", "look_up", "require_package"]

_SERVICE: Final = "_ircs._tcp"

LOOKUP_S: Final = 5.0
"""How long a look-up may take, over all name servers, in seconds."""


@dataclass(frozen=True, slots=True)
class SrvRecord:
    """What an SRV record says. Immutable."""

    priority: int
    weight: int
    relay: RelayAddress


def require_package() -> None:
    """Check that the package is there.

    :raises ConfigError: it is not; the text says what to do.
    """
    if find_spec("dns") is None:
        problem = gettext_noop(
            'SRV records need the package dnspython: pip install "securechat[srv]"'
        )
        raise ConfigError([problem])


def look_up(domain: str, chance: Callable[[], float]) -> tuple[RelayAddress, ...]:
    """Return the relays of ``domain``, at most ``RELAYS_LIMIT``, in the order to be tried.

    Blocks, for at most ``LOOKUP_S``. The package must be there.

    :param chance: returns a number from 0 to 1, for those of the same priority.
    :raises NetworkError: there are none, or nobody could be asked.
    """
    import dns.exception
    import dns.resolver

    name = f"{_SERVICE}.{domain}"
    try:
        # A new one each time: the machine may be in another network than the last time.
        answer = dns.resolver.Resolver().resolve(f"{name}.", "SRV", lifetime=LOOKUP_S)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer) as error:
        raise _none(name) from error
    except (dns.exception.DNSException, OSError) as error:
        raise NetworkError("cannot look up {name}: {reason}", name=name, reason=error) from error
    records = []
    for item in answer:
        host = _host(item.target.to_text(omit_final_dot=True))
        if host and item.port:
            records.append(SrvRecord(item.priority, item.weight, RelayAddress(host, item.port)))
    if not records:
        raise _none(name)
    return tuple(record.relay for record in in_order(records, chance))[:RELAYS_LIMIT]


def in_order(records: Iterable[SrvRecord], chance: Callable[[], float]) -> list[SrvRecord]:
    """Return the records in the order to be tried: by priority; among equals the chance of each to
    be next is its share of their weights.
    """
    found: list[SrvRecord] = []
    by_priority = sorted(records, key=lambda record: (record.priority, record.weight))
    for _priority, group in itertools.groupby(by_priority, key=lambda record: record.priority):
        left = list(group)  # "all those with weight 0 are placed at the beginning of the list"
        while left:
            sums = list(itertools.accumulate(record.weight for record in left))
            drawn = round(chance() * sums[-1])
            found.append(left.pop(next(i for i, total in enumerate(sums) if total >= drawn)))
    return found


def _host(target: str) -> str:
    """Return the name of a target; empty if it is none ("." says that there is no such service)."""
    try:
        return check_host(target)
    except ConfigError:
        return ""


def _none(name: str) -> NetworkError:
    return NetworkError("there is no relay at {name}; is the domain right?", name=name)
