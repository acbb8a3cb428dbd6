"""What the relay says of itself in 005."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from securechat.irc.extbans import ACCOUNT, EXTBANS
from securechat.irc.isupport import format_tokens
from securechat.irc.message import BODY_BYTES
from securechat.irc.modes import CHANNEL_MODES, PREFIXES
from securechat.irc.names import CHANNEL_TYPES
from securechat.server.cloak import HOST_LENGTH
from securechat.server.config import Config
from securechat.server.names import Names

__all__ = ["RELAYS", "isupport_tokens"]

RELAYS: Final = "securechat/RELAYS"
"""The token that tells clients the addresses of the relays, of which they may take any."""


def isupport_tokens(config: Config, names: Names, relays: Sequence[str] = ()) -> list[str]:
    """Return the tokens. https://modern.ircdocs.horse/#rplisupport-parameters

    ``relays``: where clients find the relays of the chat, if it has several; see ``servers``.

    CASEMAPPING has no word for PRECIS that clients know: "ascii" is what they get right of it.
    """
    limits = config.limits
    marks = "".join(PREFIXES.values())
    tokens: dict[str, str | None] = {
        "ACCOUNTEXTBAN": ACCOUNT,
        "AWAYLEN": str(limits.away_length),
        "BOT": "B",
        "CASEMAPPING": "ascii",
        "CHANLIMIT": f"{CHANNEL_TYPES}:{limits.channels_per_user}",
        "CHANMODES": CHANNEL_MODES.isupport(),
        "CHANNELLEN": str(limits.channel_length),
        "CHANTYPES": CHANNEL_TYPES,
        "ELIST": "CMNTU",
        "EXCEPTS": None,
        "EXTBAN": f",{EXTBANS}",
        "HOSTLEN": str(HOST_LENGTH),
        "INVEX": None,
        "KICKLEN": str(limits.kick_length),
        "LINELEN": str(BODY_BYTES + 2),  # with CR LF
        "MAXLIST": f"{CHANNEL_MODES.list}:{limits.list_entries}",
        "MAXTARGETS": str(limits.targets),
        "MODES": str(limits.modes),
        "MONITOR": str(limits.monitored_nicks),
        "NAMELEN": str(limits.realname_length),
        "NETWORK": config.server.network,
        "NICKLEN": str(limits.nick_length),
        "PREFIX": f"({''.join(PREFIXES)}){marks}",
        "SAFELIST": None,
        "STATUSMSG": marks,
        "TARGMAX": (
            # All names are answered; but a client that is told so may wait for one end of them all.
            "JOIN:,PART:,NAMES:1,LIST:,WHOIS:1,WHOWAS:1,"
            f"KICK:{limits.targets},PRIVMSG:{limits.targets},NOTICE:{limits.targets},"
            f"TAGMSG:{limits.targets},MONITOR:"
        ),
        "TOPICLEN": str(limits.topic_length),
        "USERLEN": str(limits.user_length),
        "UTF8ONLY": None,
        "WHOX": None,
    }
    if config.server.icon_url:
        tokens["draft/ICON"] = config.server.icon_url
    if config.history.enabled:
        tokens["CHATHISTORY"] = str(config.history.page)
        tokens["MSGREFTYPES"] = "msgid,timestamp"
    if config.accounts.login_required:
        tokens["draft/ACCOUNTREQUIRED"] = None
    if names.utf8_mapping:
        tokens["UTF8MAPPING"] = names.utf8_mapping
    if limits.denied_client_tags:
        tokens["CLIENTTAGDENY"] = limits.denied_client_tags
    if relays:
        tokens[RELAYS] = ",".join(relays)
    return format_tokens(tokens)
