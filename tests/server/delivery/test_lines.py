"""What comes from a user, as lines for any set of capabilities."""

from __future__ import annotations

from securechat.irc import capabilities as caps
from securechat.server.delivery.lines import message_lines
from securechat.server.events import Stamp
from securechat.server.state import Author

STAMP = Stamp(7, 1_318_000_000_007, "a_b-c1")
AUTHOR = Author("ann!~ann@host", "ann")
TIME = "time=2011-10-07T15:06:40.007Z"
ALL = caps.SERVER_TIME | caps.ACCOUNT_TAG | caps.MESSAGE_TAGS
MULTILINE = caps.BATCH | caps.MULTILINE


def shown(text: str, mask: int, kind: str = "PRIVMSG") -> list[str]:
    lines = message_lines(STAMP, AUTHOR, kind, "#a", text, {"+x": "1"})  # type: ignore[arg-type]
    found = [f"@{tags} {body}" if tags else body for tags, body in lines.parts(mask)]
    assert lines.encode(mask) == "".join(f"{line}\r\n" for line in found).encode()
    return found


def test_an_ordinary_message() -> None:
    assert shown("hi", 0) == [":ann!~ann@host PRIVMSG #a :hi"]
    tags = f"@{TIME};account=ann;msgid=a_b-c1;+x=1"
    assert shown("hi", ALL | MULTILINE) == [f"{tags} :ann!~ann@host PRIVMSG #a :hi"]
    assert shown("hi", caps.ACCOUNT_TAG, "NOTICE") == ["@account=ann :ann!~ann@host NOTICE #a :hi"]
    assert shown("", ALL, "TAGMSG") == [f"{tags} :ann!~ann@host TAGMSG #a"]
    assert shown("", caps.SERVER_TIME, "TAGMSG") == []


def test_a_multiline_message() -> None:
    """ "Reference tag MUST contain only ASCII letters, numbers, and/or hyphen" """
    assert shown("hello\n\nhow is \rall?", ALL | MULTILINE) == [
        f"@{TIME};account=ann;msgid=a_b-c1;+x=1 :ann!~ann@host BATCH +a-b-c1 draft/multiline #a",
        "@batch=a-b-c1 :ann!~ann@host PRIVMSG #a :hello",
        "@batch=a-b-c1 :ann!~ann@host PRIVMSG #a :",
        "@batch=a-b-c1 :ann!~ann@host PRIVMSG #a :how is ",
        "@batch=a-b-c1;draft/multiline-concat :ann!~ann@host PRIVMSG #a :all?",
        ":ann!~ann@host BATCH -a-b-c1",
    ]


def test_the_fallback() -> None:
    """ "Servers MUST NOT send blank lines to clients that have not negotiated the multiline
    capability." "Servers SHOULD maintain the line composition sent by the client" "Any tags that
    would have been added to the batch (…) MUST be included on the first message line to be sent.
    Tags MAY also be included on subsequent lines" "Servers MUST only include a message ID on the
    first message of a batch when sending a fallback" """
    text = "\nhello\n\nhow is \rall?"
    for mask in (ALL, ALL | caps.BATCH, ALL | caps.MULTILINE):
        assert shown(text, mask) == [
            f"@{TIME};account=ann;msgid=a_b-c1;+x=1 :ann!~ann@host PRIVMSG #a :hello",
            f"@{TIME};account=ann;+x=1 :ann!~ann@host PRIVMSG #a :how is ",
            f"@{TIME};account=ann;+x=1 :ann!~ann@host PRIVMSG #a :all?",
        ]
