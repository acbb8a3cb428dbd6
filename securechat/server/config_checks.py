"""What the settings of the configuration may be.

A check takes a value as TOML has it, and returns it in our type or raises ``BadValue``.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from securechat.errors import StoreError
from securechat.net.listener import parse_address
from securechat.server.names import UNICODE_EXTRA, unicode_available
from securechat.server.toml_text import toml_text
from securechat.store.passwords import needs_upgrade
from securechat.store.postgres_url import PostgresUrl, parse_postgres_url

__all__ = [
    "BadValue",
    "Check",
    "addresses",
    "casemapping",
    "choice",
    "fingerprint",
    "flag",
    "is_gateway_name",
    "is_loopback",
    "is_nats_url",
    "is_origin",
    "is_public_address",
    "is_public_name",
    "is_relay_name",
    "is_tag_list",
    "networks",
    "number",
    "optional_addresses",
    "optional_password_hash",
    "optional_path",
    "optional_postgres_url",
    "password_hash",
    "path",
    "single_line",
    "text",
    "texts",
]


class BadValue(Exception):
    """What is allowed, when a value is not."""


Check = Callable[[Any], Any]
"""Takes a value from TOML, returns it in our type, or raises ``BadValue`` with what is allowed."""


def text(allowed: str, test: Callable[[str], object]) -> Check:
    """Return a check for a string that passes ``test``; ``allowed`` says what is."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or not test(value):
            raise BadValue(allowed)
        return value

    return check


def choice(*choices: str) -> Check:
    """Return a check for one of ``choices``."""
    allowed = "one of " + ", ".join(json.dumps(choice) for choice in choices)
    return text(allowed, lambda value: value in choices)


def number(least: float, most: float, kind: type[int] | type[float] = int) -> Check:
    """Return a check for a number in a range."""
    what = "a whole number" if kind is int else "a number"

    def check(value: Any) -> float:
        right = isinstance(value, int if kind is int else (int, float))
        if isinstance(value, bool) or not right or not least <= value <= most:
            raise BadValue(f"{what} from {least:,} to {most:,}")
        return kind(value)

    return check


def flag(value: Any) -> bool:
    """Check for true or false."""
    if not isinstance(value, bool):
        raise BadValue("true or false")
    return value


def path(value: Any) -> Path:
    """Check for the path of a file."""
    allowed = "the path of a file, as a string"
    if not isinstance(value, str) or not value or "\0" in value:
        raise BadValue(allowed)
    try:
        return Path(value).expanduser()
    except RuntimeError as error:  # ~name, and there is no such user
        raise BadValue(f"{allowed}; {error}") from error


def optional_path(value: Any) -> Path | None:
    """Check for the path of a file, or nothing."""
    return None if value == "" else path(value)


def optional_postgres_url(value: Any) -> PostgresUrl | None:
    """Check for the address of a PostgreSQL, or nothing."""
    if value == "":
        return None
    allowed = 'an address such as "postgresql://relay@db.example.org/chat?sslmode=verify-full"'
    if not isinstance(value, str):
        raise BadValue(allowed)
    try:
        return parse_postgres_url(value)
    except StoreError as error:
        raise BadValue(f"{allowed}; {error}") from None


def addresses(value: Any) -> tuple[tuple[str, int], ...]:
    """Check for addresses to listen on, at least one."""
    found = optional_addresses(value)
    if not found:
        raise BadValue(_ADDRESSES)
    return found


_ADDRESSES: Final = 'a list of addresses such as ["127.0.0.1:6697", "[::1]:6697"]'


def optional_addresses(value: Any) -> tuple[tuple[str, int], ...]:
    """Check for addresses to listen on."""
    allowed = _ADDRESSES
    if not isinstance(value, list):
        raise BadValue(allowed)
    found = []
    for item in value:
        if not isinstance(item, str):
            raise BadValue(allowed)
        try:
            host, port = parse_address(item)
        except ValueError as error:
            raise BadValue(f"{allowed}; {toml_text(item)}: {error}") from error
        if not host.isprintable() or " " in host:
            raise BadValue(f"{allowed}; {toml_text(item)}: no such host")
        found.append((host, port))
    return tuple(found)


def is_loopback(host: str) -> bool:
    """Whether only this machine gets to what listens on ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def texts(allowed: str, test: Callable[[str], bool]) -> Check:
    """Return a check for a list of strings that pass ``test``."""

    def check(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise BadValue(allowed)
        for item in value:
            if not isinstance(item, str) or not test(item):
                raise BadValue(f"{allowed}; not {toml_text(item)}")
        return tuple(value)

    return check


def is_public_name(value: str) -> bool:
    """Whether a host name is one of the Internet, in lower case."""
    labels = value.split(".")
    return (
        len(value) <= 253
        and all(label.isascii() and label.replace("-", "a").isalnum() for label in labels)
        and value == value.lower()
        and labels[-1] != "localhost"
        and not labels[-1].isdigit()  # an IPv4 address
    )


def is_public_address(value: str) -> bool:
    """Whether it is a host, by name or address, and a port."""
    try:
        host, port = parse_address(value)
    except ValueError:
        return False
    return port > 0 and "," not in host and host.isprintable() and " " not in host


_RELAY_NAME: Final = re.compile("[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


def is_relay_name(value: str) -> bool:
    """Whether a relay, or the stream of a chat, may be called that."""
    return _RELAY_NAME.fullmatch(value) is not None


def is_nats_url(value: str) -> bool:
    """Whether it is the URL of a NATS server, without a password; over TLS, or on this machine."""
    try:
        url = urlsplit(value)
        host, port = url.hostname, url.port
    except ValueError:
        return False
    plain = url.path in ("", "/") and not (url.query or url.fragment or url.username)
    secure = url.scheme == "tls" or (url.scheme == "nats" and is_loopback(host or ""))
    return bool(host) and port != 0 and plain and secure


def is_origin(value: str) -> bool:
    """Whether it is the origin of a web page, or ``*``."""
    scheme, _, rest = value.partition("://")
    if value == "*":
        return True
    return bool(scheme and rest) and value.isascii() and not set(rest) & set("/?#@ ")


def is_gateway_name(value: str) -> bool:
    """Whether a web gateway may be called that."""
    return 1 <= len(value) <= 40 and value.isprintable()


def casemapping(value: Any) -> str:
    """Check for a casemapping that is installed."""
    found = str(choice("ascii", "precis")(value))
    if found == "precis" and not unicode_available():
        raise BadValue(f'"ascii" unless names beyond ASCII are installed: {UNICODE_EXTRA}')
    return found


def single_line(value: str) -> bool:
    """Whether a text has neither line ends nor other control characters."""
    return value.isprintable()


def optional_password_hash(value: Any) -> str:
    """Check for the hash of a password, or nothing."""
    return "" if value == "" else password_hash(value)


def password_hash(value: Any) -> str:
    """Check for the hash of a password."""
    allowed = 'a line made by "securechat-server hash-password"'
    if not isinstance(value, str):
        raise BadValue(allowed)
    try:
        needs_upgrade(value)
    except Exception as error:
        raise BadValue(allowed) from error
    return value


def networks(value: Any) -> tuple[str, ...]:
    """Check for networks."""
    allowed = 'a list of networks such as ["192.0.2.7", "2001:db8::/64"]'
    if not isinstance(value, list):
        raise BadValue(allowed)
    try:
        return tuple(str(ipaddress.ip_network(item)) for item in value if _string(item, allowed))
    except ValueError as error:
        raise BadValue(f"{allowed}; {error}") from error


def _string(value: Any, allowed: str) -> bool:
    if not isinstance(value, str):  # ip_network takes numbers too
        raise BadValue(allowed)
    return True


def fingerprint(value: Any) -> str:
    """Check for the SHA-256 of a certificate, or nothing."""
    plain = value.replace(":", "").lower() if isinstance(value, str) else ""
    if len(plain) != 64 or set(plain) - set("0123456789abcdef"):
        raise BadValue("the SHA-256 fingerprint of a certificate: 64 hexadecimal digits")
    return plain


_TAG: Final = r"[^\s,;=*+-][^\s,;=]*"
_TAG_LIST: Final = re.compile(rf"(\*(,-{_TAG})*|{_TAG}(,{_TAG})*)?")


def is_tag_list(value: str) -> bool:
    """Whether it can be the value of CLIENTTAGDENY."""
    return _TAG_LIST.fullmatch(value) is not None
