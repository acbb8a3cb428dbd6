"""CAP: negotiating capabilities.

https://ircv3.net/specs/extensions/capability-negotiation
"""

from __future__ import annotations

from securechat.irc import capabilities as caps
from securechat.irc import numerics
from securechat.irc.message import BODY_BYTES, Message
from securechat.irc.peering import CAPABILITY
from securechat.irc.sasl import EXTERNAL, PLAIN, SCRAM_SHA_256, SCRAM_SHA_256_PLUS
from securechat.irc.text import cut_text
from securechat.server.commands.registration import complete_registration, may_register_early
from securechat.server.config import Config
from securechat.server.context import Context
from securechat.server.dispatch import command
from securechat.server.events import Retract
from securechat.server.refusals import Refusal
from securechat.server.rooms import words_lines

__all__ = ["announce_changes", "sasl_mechanisms"]

_VALUES_VERSION = 302
"""The version of CAP from which values and several lines are understood."""


@command("CAP", least=1, early=True)
def cap(context: Context, message: Message) -> None:
    """CAP LS [302] | LIST | REQ :<capabilities> | END.

    See and choose extensions of the protocol; clients do this by themselves.
    """
    subcommand = message.params[0].upper()
    argument = message.params[1] if len(message.params) > 1 else ""
    session = context.session
    match subcommand:
        case "LS":
            _pause_registration(context)
            version = int(argument) if argument.isascii() and argument.isdigit() else 301
            session.cap_version = max(session.cap_version, min(version, _VALUES_VERSION))
            if session.cap_version >= _VALUES_VERSION:
                _change(context, session.caps | caps.CAP_NOTIFY)
            offer = _offer(context, version, context.services.config)
            _send_list(context, "LS", offer, version)
        case "LIST":
            names = caps.capability_names(session.caps)
            _send_list(context, "LIST", names, session.cap_version)
        case "REQ":
            _pause_registration(context)
            _request(context, argument)
        case "END":
            if not session.registration.complete:
                session.registration.negotiating = False
                complete_registration(context)
        case _:
            raise Refusal(numerics.ERR_INVALIDCAPCMD, message.params[0])


_OF_HISTORY = frozenset(
    {caps.CHATHISTORY, caps.EVENT_PLAYBACK, caps.MESSAGE_REDACTION, caps.SEARCH}
)
"""What is there only if messages are kept."""


def sasl_mechanisms(context: Context) -> list[str]:
    """Return the mechanisms that this session can use."""
    external = [EXTERNAL] if context.session.certificate is not None else []
    bound = [SCRAM_SHA_256_PLUS] if context.session.channel_binding is not None else []
    return [*bound, SCRAM_SHA_256, PLAIN, *external]


def _pause_registration(context: Context) -> None:
    registration = context.session.registration
    if not registration.complete:
        registration.negotiating = True


def announce_changes(context: Context, before: Config) -> None:
    """Tell the client what is offered otherwise than with the configuration ``before``.

    "the server MUST inform clients of capability changes": what is gone is not enabled any more.
    """
    session = context.session
    old, new = (
        _offer(context, session.cap_version, config) for config in (before, context.services.config)
    )
    names = {word.partition("=")[0] for word in new}
    gone = [name for word in old if (name := word.partition("=")[0]) not in names]
    news = [word for word in new if word not in old]
    if session.caps & caps.CAP_NOTIFY:
        for subcommand, words in (("DEL", gone), ("NEW", news)):
            for line in words_lines(words, 0):
                context.send("CAP", context.nick, subcommand, line)
    lost = sum(caps.BITS.get(name, 0) for name in gone)
    if session.caps & lost:
        _change(context, session.caps & ~lost)


def _offer(context: Context, version: int, config: Config) -> list[str]:
    accounts, limits = config.accounts, config.limits
    offered = [name for name in caps.BITS if _offered(config, name)]
    if version < _VALUES_VERSION:  # even if the client has asked for more before
        return offered
    # A client asks for an e-mail address where one is required; that is where a code is given.
    registration = ",".join(
        ["before-connect"] * may_register_early(config)
        + ["email-required"] * (accounts.registration == "invite")
    )
    sts = _sts(context, config)
    if sts:
        offered.append("sts")
    metadata = (
        f"before-connect,max-subs={limits.metadata_subscriptions},max-keys={limits.metadata_keys},"
        f"max-value-bytes={limits.metadata_value_bytes}"
    )
    values = {
        "draft/metadata-2": metadata,
        "draft/metadata-3": metadata,
        "sts": sts,
        "sasl": ",".join(sasl_mechanisms(context)),
        "draft/account-registration": registration,
        "draft/multiline": (
            f"max-bytes={limits.multiline_bytes},max-lines={limits.multiline_lines}"
        ),
    }
    return [f"{name}={values[name]}" if values.get(name) else name for name in offered]


def _sts(context: Context, config: Config) -> str:
    """Return the policy for the name that the client has asked for, empty for none.

    https://ircv3.net/specs/extensions/sts: cannot be requested, so it is none of the capabilities.
    """
    tls, name = config.tls, context.session.server_name
    if name not in tls.sts_names:
        return ""
    preload = ",preload" if name in tls.sts_preload else ""
    return f"duration={tls.sts_duration_s}{preload}"


def _offered(config: Config, name: str) -> bool:
    if name == "draft/account-registration":
        return config.accounts.registration != "closed"
    if name == CAPABILITY:
        return config.peers.enabled
    if caps.BITS.get(name) in _OF_HISTORY:
        return config.history.enabled
    return name in caps.BITS


def _request(context: Context, argument: str) -> None:
    """Accept all of the request, or nothing."""
    session = context.session
    wanted = session.caps
    # "Clients SHOULD ensure that their list of requested capabilities is not too long to be replied
    # to with a single ACK or NAK message."
    limit = BODY_BYTES - len(f":{context.services.name} CAP {context.nick} ACK :".encode())
    if len(argument.encode()) > limit:
        context.send("CAP", context.nick, "NAK", cut_text(argument, limit))
        return
    for item in argument.split():
        name = item.removeprefix("-")
        if not _offered(context.services.config, name):
            context.send("CAP", context.nick, "NAK", argument)
            return
        if not item.startswith("-"):
            wanted |= caps.BITS[name]
        elif name == "cap-notify" and session.cap_version >= _VALUES_VERSION:
            # "servers MUST NOT disable the cap-notify capability" of a client that speaks 302
            context.send("CAP", context.nick, "NAK", argument)
            return
        else:
            wanted &= ~caps.BITS[name]
    context.send("CAP", context.nick, "ACK", argument)
    _change(context, wanted)


def _change(context: Context, wanted: int) -> None:
    given_up = context.session.caps & ~wanted
    context.session.caps = wanted
    if context.session.registration.complete:
        context.services.delivery.forget(context.user)
        if given_up & caps.PEER:
            context.propose(Retract(context.stamp()))


def _send_list(context: Context, subcommand: str, words: list[str], version: int) -> None:
    """Send a list: in several lines to clients that understand it, else what fits in one."""
    if version < _VALUES_VERSION:
        # A client that knows no version 302 knows no drafts, so these are what may be left out.
        line = next(words_lines(sorted(words, key=lambda word: "/" in word), 0), "")
        context.send("CAP", context.nick, subcommand, line)
        return
    *most, last = list(words_lines(words, 0)) or [""]
    for line in most:
        context.send("CAP", context.nick, subcommand, "*", line)
    context.send("CAP", context.nick, subcommand, last)
