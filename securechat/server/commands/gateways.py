"""WEBIRC: a web gateway says for whom it connects.

https://ircv3.net/specs/extensions/webirc

From then on the session is where that person is: for limits, cloaking, the login throttle and the
log. The ``hostname`` is not used: hosts are cloaks here, and nobody has checked it. Nor are
fingerprints that the gateway reports (``certfp``): a gateway shall not be able to stand in for a
certificate that an account demands.
"""

from __future__ import annotations

from typing import Final

from securechat.errors import LocalProtocolError
from securechat.irc import numerics
from securechat.irc.message import Message
from securechat.irc.sasl import prepare_password
from securechat.irc.tags import parse_tags
from securechat.server.addresses import parse_ip, parse_ip_range
from securechat.server.config import GatewayConfig
from securechat.server.context import Context
from securechat.server.dispatch import command
from securechat.server.hash_workers import HashersBusy
from securechat.server.refusals import Refusal

__all__: list[str] = []

_REFUSED: Final = "Invalid WebIRC password"
_BUSY: Final = "Passwords cannot be checked at the moment; try again"


@command("WEBIRC", least=4, early=True)
def webirc(context: Context, message: Message) -> None:
    """WEBIRC <password> <gateway> <hostname> <ip> [:<options>].

    For web gateways, as the first command: say for whom the connection is.
    """
    services, session = context.services, context.session
    if session.registration.complete:
        raise Refusal(numerics.ERR_ALREADYREGISTERED)
    known = [gateway for gateway in services.config.webirc if _is_from(context, gateway)]
    if not known:
        _refuse(context, "not from a gateway")
        return
    if session.registration.commands > 1:
        _refuse(context, "not the first command", "WEBIRC must be the first command")
        return
    by_certificate = next((g for g in known if g.fingerprint and not g.password_hash), None)
    if by_certificate is not None:
        _accept(context, by_certificate.name, message)
        return
    throttled = f"gateway {session.address}"
    if not services.authenticator.throttle.take(throttled, session.address):
        _refuse(context, "too often", _BUSY)
        return

    def finish(right: bool) -> None:
        context.resume(lambda: _checked(context, known, throttled, message, right=right))

    try:
        hashes = [gateway.password_hash for gateway in known]
        prepared = prepare_password(message.params[0])
        services.authenticator.check_secret(hashes, prepared, finish)
    except LocalProtocolError as error:
        _refuse(context, str(error))
    except HashersBusy as error:
        _refuse(context, str(error), _BUSY)
    else:
        context.hold()


def _is_from(context: Context, gateway: GatewayConfig) -> bool:
    """Whether the connection has what the gateway is known by, but for the password."""
    session = context.session
    if gateway.fingerprint and session.fingerprint != gateway.fingerprint:
        return False
    here = parse_ip(session.address)
    networks = [parse_ip_range(network) for network in gateway.addresses]
    return not networks or any(here in network for network in networks)


def _checked(
    context: Context, known: list[GatewayConfig], throttled: str, message: Message, *, right: bool
) -> None:
    if not right:
        _refuse(context, "wrong password")
        return
    session = context.session
    context.services.authenticator.throttle.give_back(throttled, session.address)
    _accept(context, known[0].name, message)


def _accept(context: Context, gateway: str, message: Message) -> None:
    session = context.session
    try:
        address = str(parse_ip(message.params[3]))
    except ValueError:
        _refuse(context, "not an address", "Invalid IP address")
        return
    # Values are escaped as those of tags, and an option that has got a value is still that option.
    options = parse_tags(";".join(" ".join(message.params[4:]).split()))
    here = session.address
    refusal = session.come_through(gateway, address, secure="secure" in options)
    ports = [
        f"{name} {options[name]}"
        for name in ("remote-port", "local-port")
        if options.get(name, "").isdigit()
    ]
    described = ", ".join([f"gateway {gateway} at {here}", *ports])
    context.note(f"connects for {address} ({described})")
    if refusal:
        session.close_soon(refusal)


def _refuse(context: Context, reason: str, text: str = _REFUSED) -> None:
    context.note(f"WEBIRC refused from {context.session.address}: {reason}")
    context.session.close_soon(text)
