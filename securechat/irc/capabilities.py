"""The IRCv3 capabilities that the relay speaks, each as one bit of a session's capability set.

A set is a plain ``int``: it is compared and masked for each message, and used as a dictionary key
when one message is encoded once for all sessions whose sets are alike.

https://ircv3.net/specs/extensions/capability-negotiation
"""

from __future__ import annotations

from typing import Final

__all__ = ["BITS", "capability_names"]

BITS: Final[dict[str, int]] = {
    name: 1 << position
    for position, name in enumerate(
        (
            "account-notify",
            "account-tag",
            "away-notify",
            "batch",
            "cap-notify",
            "chghost",
            "draft/account-registration",
            "draft/channel-rename",
            "draft/chathistory",
            "draft/event-playback",
            "draft/extended-isupport",
            "draft/message-redaction",
            "draft/metadata-2",
            "draft/metadata-3",
            "draft/multiline",
            "draft/oper-tag",
            "draft/pre-away",
            "draft/read-marker",
            "echo-message",
            "extended-join",
            "extended-monitor",
            "invite-notify",
            "labeled-response",
            "message-tags",
            "multi-prefix",
            "no-implicit-names",
            "sasl",
            "securechat/peer",
            "server-time",
            "setname",
            "soju.im/search",
            "standard-replies",
            "userhost-in-names",
        )
    )
}
"""Each capability of the relay and its bit."""

ACCOUNT_NOTIFY: Final = BITS["account-notify"]
ACCOUNT_REGISTRATION: Final = BITS["draft/account-registration"]
ACCOUNT_TAG: Final = BITS["account-tag"]
AWAY_NOTIFY: Final = BITS["away-notify"]
BATCH: Final = BITS["batch"]
CAP_NOTIFY: Final = BITS["cap-notify"]
CHATHISTORY: Final = BITS["draft/chathistory"]
CHANNEL_RENAME: Final = BITS["draft/channel-rename"]
CHGHOST: Final = BITS["chghost"]
ECHO_MESSAGE: Final = BITS["echo-message"]
EVENT_PLAYBACK: Final = BITS["draft/event-playback"]
EXTENDED_ISUPPORT: Final = BITS["draft/extended-isupport"]
EXTENDED_JOIN: Final = BITS["extended-join"]
EXTENDED_MONITOR: Final = BITS["extended-monitor"]
INVITE_NOTIFY: Final = BITS["invite-notify"]
LABELED_RESPONSE: Final = BITS["labeled-response"]
MESSAGE_REDACTION: Final = BITS["draft/message-redaction"]
MESSAGE_TAGS: Final = BITS["message-tags"]
METADATA: Final = BITS["draft/metadata-2"] | BITS["draft/metadata-3"]
"""Either will do: both are served with the newer behaviour."""
MULTILINE: Final = BITS["draft/multiline"]
MULTI_PREFIX: Final = BITS["multi-prefix"]
NO_IMPLICIT_NAMES: Final = BITS["no-implicit-names"]
PEER: Final = BITS["securechat/peer"]
PRE_AWAY: Final = BITS["draft/pre-away"]
OPER_TAG: Final = BITS["draft/oper-tag"]
READ_MARKER: Final = BITS["draft/read-marker"]
SASL: Final = BITS["sasl"]
SEARCH: Final = BITS["soju.im/search"]
SERVER_TIME: Final = BITS["server-time"]
SETNAME: Final = BITS["setname"]
STANDARD_REPLIES: Final = BITS["standard-replies"]
USERHOST_IN_NAMES: Final = BITS["userhost-in-names"]


def capability_names(mask: int) -> list[str]:
    """Return the names of the capabilities in ``mask``."""
    return [name for name, bit in BITS.items() if mask & bit]
