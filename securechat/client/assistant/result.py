"""What comes of setting up a network: what it is called, who we are there, what is kept where."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from securechat.client.assistant.answers import Answers
from securechat.client.assistant.ca_file import CaFile, hashes_in
from securechat.client.settings.address import Address
from securechat.client.settings.passwords import store_in_keyring
from securechat.client.settings.profile_file import store_ca
from securechat.client.settings.profiles import Network, PasswordSource, is_network_name
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _

__all__ = [
    "SetupResult",
    "find_network",
    "find_other_trust",
    "keep_network",
    "rooms_in",
    "suggest_name",
    "summarize",
]

_NAME_CHARACTERS: Final = 40
"""The longest name of a network (``profiles.is_network_name``)."""


@dataclass(frozen=True, slots=True)
class SetupResult:
    """A network that works: how it is called, its profile, and the password for now. Immutable."""

    network_name: str
    network: Network
    password: str | None = field(repr=False)


def suggest_name(sources: Iterable[str], taken: Collection[str]) -> str:
    """Return a name for a network that is not in ``taken`` (lower case), made of the first of the
    sources that it can be made of.
    """
    for source in sources:
        name = re.sub(r"[^\w.-]+", "-", source).strip("-_.")[: _NAME_CHARACTERS - 3]
        if is_network_name(name):
            break
    else:
        name = "chat"
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    return next(one for one in itertools.chain((name,), numbered) if one.lower() not in taken)


def find_network(networks: Mapping[str, Network], relay: str, login: str) -> str:
    """Return what the network is called that logs in to this account at this relay, by a password;
    empty if there is none.

    :param relay: as in ``Network.places``.
    """
    for name, network in networks.items():
        same = relay in network.places and network.login.lower() == login.lower()
        if same and network.password is not None:
            return name
    return ""


def find_other_trust(networks: Mapping[str, Network], relay: str, ca: bytes | None) -> str:
    """Return what the network is called by which this relay is known by another CA, if by none of
    them it is known by this one; else nothing. Does file I/O.

    A CA whose file cannot be read says nothing, as nobody can log in by it; neither do those of
    the system where there is no login by password.

    :param relay: as in ``Network.places``.
    :param ca: the hash of the CA; ``None``: those of the system.
    """
    found = {name: _trusted(one) for name, one in networks.items() if relay in one.places}
    known = {name: trusted for name, trusted in found.items() if trusted}
    return "" if any(ca in trusted for trusted in known.values()) else next(iter(known), "")


def _trusted(network: Network) -> frozenset[bytes | None]:
    if network.ca is not None:
        return hashes_in(network.ca)
    return frozenset({None}) if network.password is not None else frozenset()


def rooms_in(text: str) -> tuple[str, ...]:
    """Return the rooms that are in ``text``, with commas between them."""
    names = (name.strip() for name in text.split(","))
    return tuple(name if name.startswith("#") else f"#{name}" for name in names if name)


def summarize(given: Answers, place: str, ca: CaFile | None) -> tuple[str, ...]:
    """Return what has been settled, line by line, safe."""
    trusted = _("the CAs of this system")
    if ca is not None:
        trusted = ", ".join(authority.name for authority in ca.authorities)
    lines = [
        _("Server: {place}", place=place),
        _("Trusted: {name}", name=trusted),
        _("Nick: {nick}", nick=make_safe(given.nick.strip())),
    ]
    if given.account == "later":
        return (*lines, _("Account: none"))
    keeps = {
        "prompt": _("Password: asked for at each start"),
        "keyring": _("Password: kept in the keyring of this system"),
        "command": _("Password: printed by a command"),
    }
    account = _("Account: {account}", account=make_safe(given.login.strip()))
    return (*lines, account, keeps[given.keep])


def keep_network(
    folder: Path, given: Answers, address: Address, ca: CaFile | None, known: Network | None
) -> SetupResult:
    """Keep the CA in ``folder``, and the password where the user wants it; return the network.

    Blocks: it does file I/O, and a keyring may ask the user to open it.

    :param known: the profile that there is already; what was not asked stays as it is there.
    :raises SecureChatError: something cannot be kept.
    """
    name = given.network.strip()
    made = Network(
        address.host,
        given.nick.strip(),
        port=address.port,
        relays=address.others,
        ca=store_ca(folder, name, ca.pem) if ca is not None else None,
        realname=given.realname.strip(),
        rooms=rooms_in(given.rooms),
    )
    account = "" if given.account == "later" else given.login.strip()
    if account:
        source = PasswordSource(given.keep)
        if given.keep == "command":
            source = PasswordSource("command", run=tuple(shlex.split(given.command)))
        elif given.keep == "keyring":
            store_in_keyring(given.password, network=(known or made).relay, account=account)
        made = replace(made, account="" if account == made.nick else account, password=source)
    if known is not None:
        rooms = tuple(dict.fromkeys((*known.rooms, *made.rooms)))
        made = replace(known, ca=made.ca, password=made.password or known.password, rooms=rooms)
    return SetupResult(name, made, given.password if account else None)
