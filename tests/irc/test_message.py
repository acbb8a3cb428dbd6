from __future__ import annotations

import dataclasses

import pytest

from securechat.errors import LocalProtocolError, RemoteProtocolError
from securechat.irc.message import NO_TAGS, Message, split_source

# The lines that ``to_line`` writes for these messages too.
CANONICAL = {
    "command": ("QUIT", Message("QUIT")),
    "numeric": ("001 alice :Hello there", Message("001", ("alice", "Hello there"))),
    "params": ("MODE #chan +o alice", Message("MODE", ("#chan", "+o", "alice"))),
    "source": (":irc.example QUIT", Message("QUIT", source="irc.example")),
    "empty source": (": QUIT", Message("QUIT", source="")),
    "tags": ("@id=1;+typing TAGMSG a", Message("TAGMSG", ("a",), tags={"id": "1", "+typing": ""})),
    "all parts": (
        "@id=234AB :dan!d@localhost PRIVMSG #chan :Hey what's up!",
        Message("PRIVMSG", ("#chan", "Hey what's up!"), "dan!d@localhost", {"id": "234AB"}),
    ),
    "colon inside a middle": ("MODE a:b c: d", Message("MODE", ("a:b", "c:", "d"))),
    "trailing with colons": ("PRIVMSG a ::-) :o", Message("PRIVMSG", ("a", ":-) :o"))),
    "trailing of spaces": ("PRIVMSG a :  ", Message("PRIVMSG", ("a", "  "))),
    "only a trailing": ("QUIT :so long", Message("QUIT", ("so long",))),
    "only an empty trailing": ("AWAY :", Message("AWAY", ("",))),
    "not ascii": ("PRIVMSG #café naïve\u2028", Message("PRIVMSG", ("#café", "naïve\u2028"))),
    "most params": ("A " + " ".join("bcdefghijklmnop"), Message("A", tuple("bcdefghijklmnop"))),
    "escaped tag": (
        r"@a=\:\s\\\r\n QUIT",
        Message("QUIT", tags={"a": "; \\\r\n"}),
    ),
}

# Other ways to write a message.
LENIENT = {
    "lower case": ("privmsg a b", Message("PRIVMSG", ("a", "b"))),
    "needless colon": ("PRIVMSG #chan :Hey!", Message("PRIVMSG", ("#chan", "Hey!"))),
    "spaces at the end": ("QUIT   ", Message("QUIT")),
    "space at the end of params": ("JOIN #a ", Message("JOIN", ("#a",))),
    "spaces at the start": ("  QUIT", Message("QUIT")),
    "spaces everywhere": (
        "@a=b   :src   PRIVMSG   x   :y  z",
        Message("PRIVMSG", ("x", "y  z"), "src", {"a": "b"}),
    ),
    "empty tags": ("@ QUIT", Message("QUIT")),
    "tag without a name": ("@=x;;a=b QUIT", Message("QUIT", tags={"a": "b"})),
    "empty tag value": ("@a= QUIT", Message("QUIT", tags={"a": ""})),
}

MALFORMED = {
    "nothing": "",
    "spaces": "   ",
    "source alone": ":irc.example",
    "source and spaces": ":irc.example   ",
    "tags alone": "@a=b",
    "tags and spaces": "@a=b  ",
    "trailing alone": ": ",
    "trailing where the command belongs": ":src :QUIT",
    "nul": "PRIVMSG a :b\0c",
    "cr": "PRIVMSG a :b\rQUIT",
    "lf": "PRIVMSG a :b\nQUIT",
    "lf at the end": "QUIT\n",
    "nul in tags": "@a=\0 QUIT",
}

UNSENDABLE = {
    "no command": Message(""),
    "lower case": Message("privmsg", ("a",)),
    "command with a space": Message("PRIVMSG a"),
    "command that is a tag": Message("@A"),
    "space in a middle": Message("A", ("b c", "d")),
    "empty middle": Message("A", ("", "d")),
    "colon before a middle": Message("A", (":b", "d")),
    "nul": Message("A", ("b\0",)),
    "cr": Message("A", ("b\rQUIT",)),
    "lf": Message("A", ("b\nQUIT",)),
    "lf in a middle": Message("A", ("b\nQUIT", "c")),
    "lf in the source": Message("A", source="b\nQUIT"),
    "space in the source": Message("A", source="b QUIT"),
    "nul in a tag": Message("A", tags={"a": "\0"}),
    "lf in the name of a tag": Message("A", tags={"a\nQUIT": ""}),
    "space in the name of a tag": Message("A", tags={"a QUIT": ""}),
    "semicolon in the name of a tag": Message("A", tags={"a;b": ""}),
    "equals sign in the name of a tag": Message("A", tags={"a=b": ""}),
    "tag without a name": Message("A", tags={"": "b"}),
}


@pytest.mark.parametrize(
    ("line", "message"), [*CANONICAL.values(), *LENIENT.values()], ids=[*CANONICAL, *LENIENT]
)
def test_parse(line: str, message: Message) -> None:
    assert Message.parse(line) == message


@pytest.mark.parametrize(("line", "message"), CANONICAL.values(), ids=CANONICAL)
def test_to_line(line: str, message: Message) -> None:
    assert message.to_line() == line


@pytest.mark.parametrize("word", ["12", "1234", "PING2", "A_B", "hi!", "Größe", "-", "@a=b"])
def test_any_word_may_be_a_command(word: str) -> None:
    assert Message.parse(f":src {word} x") == Message(word.upper(), ("x",), "src")


@pytest.mark.parametrize("line", MALFORMED.values(), ids=MALFORMED)
def test_malformed(line: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Message.parse(line)


@pytest.mark.parametrize("message", UNSENDABLE.values(), ids=UNSENDABLE)
def test_unsendable(message: Message) -> None:
    with pytest.raises(LocalProtocolError):
        message.to_line()


@pytest.mark.parametrize(
    ("line", "params"),
    [
        (":irc.example.com CAP * LIST :", ("*", "LIST", "")),
        ("CAP * LS :multi-prefix sasl", ("*", "LS", "multi-prefix sasl")),
        (":dan!d@localhost PRIVMSG #chan :Hey!", ("#chan", "Hey!")),
        (":dan!d@localhost PRIVMSG #chan Hey!", ("#chan", "Hey!")),
        (":dan!d@localhost PRIVMSG #chan ::-)", ("#chan", ":-)")),
    ],
)
def test_trailing_is_a_parameter_like_any_other(line: str, params: tuple[str, ...]) -> None:
    """Modern IRC: "a trailing parameter (a final parameter with a preceding `':'`) has the same
    semantics as any other parameter, and MUST NOT be treated specially".
    """
    assert Message.parse(line).params == params


@pytest.mark.parametrize("last", ["", "two words", ":colon"])
def test_last_parameter_that_needs_its_colon(last: str) -> None:
    """Modern IRC: "Parameters that contain spaces, are empty, or begin with a `':'` character MUST
    be sent with a preceding `':'`".
    """
    assert Message("A", ("b", last)).to_line() == f"A b :{last}"


def test_any_number_of_parameters_is_read() -> None:
    """Modern IRC: "clients MUST parse incoming messages with any number of them"."""
    params = tuple(f"p{number}" for number in range(100))
    assert Message.parse("A " + " ".join(params)).params == params
    assert Message.parse("A " + " ".join(params) + " :the last").params == (*params, "the last")


def test_most_parameters_that_are_sent() -> None:
    """Modern IRC: "Software SHOULD AVOID sending more than 15 parameters"."""
    assert Message("A", ("b",) * 15).to_line() == "A" + " b" * 15
    with pytest.raises(LocalProtocolError):
        Message("A", ("b",) * 16).to_line()


def test_of_a_repeated_tag_the_last_counts() -> None:
    """message-tags: "Implementations receiving messages with more than one occurrence of a tag key
    name SHOULD disregard all but the final occurrence".
    """
    assert Message.parse("@a=1;b=2;a=3 QUIT").tags == {"a": "3", "b": "2"}


def test_names_of_tags_are_not_judged() -> None:
    """message-tags: "MUST NOT perform any validation that would reject the message if an invalid
    tag key name is used".
    """
    assert Message.parse("@Ü_!:/+=1;+ QUIT").tags == {"Ü_!:/+": "1", "+": ""}


def test_message_is_immutable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Message("QUIT").command = "JOIN"  # type: ignore[misc]


def test_messages_without_tags_share_theirs() -> None:
    assert Message("QUIT").tags is NO_TAGS
    assert Message.parse("QUIT").tags is NO_TAGS
    with pytest.raises(TypeError):
        NO_TAGS["a"] = "b"  # type: ignore[index]


def test_messages_are_hashable() -> None:
    plain, tagged = Message("A", ("b",)), Message("A", ("b",), tags={"c": "d"})
    assert {plain, Message("A", ("b",)), tagged} == {plain, tagged}


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("alice!~a@host.example", ("alice", "~a", "host.example")),
        ("alice@host", ("alice", "", "host")),
        ("alice!~a", ("alice", "~a", "")),
        ("irc.example", ("irc.example", "", "")),
        ("a!b!c@d@e", ("a", "b!c", "d@e")),
        ("", ("", "", "")),
    ],
)
def test_split_source(source: str, parts: tuple[str, str, str]) -> None:
    assert split_source(source) == parts


@pytest.mark.parametrize(
    ("source", "nick"), [("alice!~a@host", "alice"), ("irc.example", "irc.example"), (None, "")]
)
def test_nick(source: str | None, nick: str) -> None:
    assert Message("QUIT", source=source).nick == nick
