from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.client.deliveries import OPEN_DELIVERIES
from securechat.client.events import (
    AccountChanged,
    AwayChanged,
    ChannelRenamed,
    Delivered,
    Failure,
    HostChanged,
    Invited,
    Joined,
    Kicked,
    LoggedOut,
    MemberSnapshot,
    ModeChanged,
    NamesReceived,
    NickChanged,
    NickRejected,
    NotDelivered,
    Parted,
    PeopleBack,
    PeopleLost,
    Quit,
    RawReceived,
    Reacted,
    ReadMarked,
    RealnameChanged,
    Redacted,
    RelaysAnnounced,
    Reply,
    TextReceived,
    TopicChanged,
    Typing,
    VerificationRequired,
)
from securechat.client.protocol import (
    ClientProtocol,
    check_command,
    check_line,
    check_reaction,
    check_text,
    text_tags,
)
from securechat.client.relays import RelayAddress
from securechat.client.requests import history_page
from securechat.client.session import Credentials
from securechat.errors import LocalProtocolError, RemoteProtocolError
from securechat.irc.message import BODY_BYTES, Message
from tests.client.transcript import HELLO, NEW, NOW, OLD, PLAIN_WELCOME, C, S, Step, make, play


def said(conversation: str, sender: str, text: str, **more: object) -> TextReceived:
    fields: dict[str, object] = {
        "target": conversation,
        "account": None,
        "kind": "message",
        "time": NOW,
        "direct": not conversation.startswith("#"),
    }
    return TextReceived(
        conversation=conversation,
        sender=sender,
        text=text,
        **(fields | more),  # type: ignore[arg-type]
    )


def send(
    text: str, target: str = "#room", delivery: int = 1, kind: str = "message", **more: Any
) -> Step:
    return lambda protocol: protocol.send_text(target, text, delivery=delivery, kind=kind, **more)  # type: ignore[arg-type]


# ---- on the network ----

MULTILINE: list[Step] = [
    *NEW,
    S("CAP alice NEW :draft/multiline=max-bytes=900,max-lines=5,unknown"),
    C("CAP REQ draft/multiline"),
    S("CAP alice ACK :draft/multiline"),
]
SIZES = (480, 421)
"""How 901 bytes are cut for who is seen as ``alice!~a@host``."""

BOB = ":bob!~b@host"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)

CONVERSATIONS: dict[str, list[Step]] = {
    "a message of several lines": [
        *NEW,
        S(f"@msgid=m;time=2026-01-01T00:00:00.000Z {BOB} BATCH +1 draft/multiline #room"),
        S(f"@batch=1 {BOB} PRIVMSG #room :hello"),
        S(f"@batch=1 {BOB} PRIVMSG #room :"),
        S(f"@batch=1 {BOB} PRIVMSG #room :how is "),
        S(f"@batch=1;draft/multiline-concat {BOB} PRIVMSG #room :everyone?"),
        S(f"{BOB} BATCH -1"),
        said("#room", "bob", "hello\n\nhow is everyone?", msgid="m", time=LONG_AGO),
        S(f"{BOB} BATCH +2 draft/multiline #room"),  # nothing is said
        S(f"{BOB} BATCH -2"),
    ],
    "history": [
        *NEW,
        S(":alice!~a@host JOIN #room * :A"),
        Joined("alice", "#room", 1, True, None, "A"),
        S("BATCH +h chathistory #room"),
        S(f"@batch=h;time=2026-01-01T00:00:00.000Z;msgid=1 {BOB} PRIVMSG #room :old"),
        S("@batch=h :dora!~d@host JOIN #room"),  # who came and went then, is no news
        S("@batch=h :alice!~a@host PART #room"),
        S(f"@batch=h {BOB} REDACT #room 1"),
        S(f"@batch=h;time=2026-01-01T00:00:00.000Z {BOB} BATCH +m draft/multiline #room"),
        S(f"@batch=m {BOB} NOTICE #room :one"),
        S(f"@batch=m {BOB} NOTICE #room :two"),
        S("@batch=h BATCH -m"),
        S("BATCH -h"),
        said("#room", "bob", "old", msgid="1", time=LONG_AGO, replayed=True),
        Redacted("#room", "1", "bob", ""),
        said("#room", "bob", "one\ntwo", kind="notice", time=LONG_AGO, replayed=True),
        S("BATCH +h chathistory alice"),
        S("@batch=h;time=2026-01-01T00:00:00.000Z :alice!~a@host PRIVMSG alice :to myself"),
        S("BATCH -h"),
        said("alice", "alice", "to myself", own=True, time=LONG_AGO, replayed=True),
        S(f"{BOB} PRIVMSG #room :new"),
        said("#room", "bob", "new"),
    ],
    "saying several lines": [
        *MULTILINE,
        send("one\n\n" + "word " * 100 + "\r\nlast\n", delivery=7),
        C("@label=7.0 BATCH +7 draft/multiline #room"),
        C("@batch=7 PRIVMSG #room one"),
        C("@batch=7 PRIVMSG #room :"),
        C(f"@batch=7 PRIVMSG #room :{'word ' * 82}"),
        C(f"@batch=7;draft/multiline-concat PRIVMSG #room :{'word ' * 18}"),
        C("@batch=7 PRIVMSG #room last"),
        C("BATCH -7"),
        S("@label=7.0;msgid=m :alice!~a@host BATCH +x draft/multiline #room"),
        S("@batch=x :alice!~a@host PRIVMSG #room :one"),
        S("@batch=x :alice!~a@host PRIVMSG #room :last"),
        S(":alice!~a@host BATCH -x"),
        said("#room", "alice", "one\nlast", own=True, msgid="m", delivery=7),
        Delivered(7),
        send("one\ntwo", delivery=8),
        C("@label=8.0 BATCH +8 draft/multiline #room"),
        C("@batch=8 PRIVMSG #room one"),
        C("@batch=8 PRIVMSG #room two"),
        C("BATCH -8"),
        S("@label=8.0 404 alice #room :Cannot send to channel"),
        NotDelivered(8, "#room", "404", "Cannot send to channel"),
        send("one\ntwo", delivery=9),
        C("@label=9.0 BATCH +9 draft/multiline #room"),
        C("@batch=9 PRIVMSG #room one"),
        C("@batch=9 PRIVMSG #room two"),
        C("BATCH -9"),
        S("@label=9.0 FAIL BATCH MULTILINE_MAX_LINES 1 :Too many lines"),
        NotDelivered(9, "#room", "MULTILINE_MAX_LINES", "Too many lines"),
        send("one", delivery=10),
        C("@label=10.0 PRIVMSG #room one"),
        send("a\nb\nc\nd\ne\nf", delivery=11),  # above the limits: by themselves
        *(C(f"@label=11.{n} PRIVMSG #room {line}") for n, line in enumerate("abcdef")),
        send("x" * 901, delivery=12),
        *(C(f"@label=12.{n} PRIVMSG #room {'x' * size}") for n, size in enumerate(SIZES)),
        send("one\ntwo", delivery=13, kind="action"),
        C("@label=13.0 PRIVMSG #room :\x01ACTION one\x01"),
        C("@label=13.1 PRIVMSG #room :\x01ACTION two\x01"),
    ],
    "a room is renamed": [
        *NEW,
        S(":alice!~a@host JOIN #room * :A"),
        Joined("alice", "#room", 1, True, None, "A"),
        S(f"{BOB} RENAME #Room #hall :more people"),
        ChannelRenamed("#Room", "#hall", "bob", "more people"),
        S(f"{BOB} PART #hall"),
        Parted("bob", "#hall", 1, "", False),
    ],
    "coming and going, as of today": [
        *NEW,
        S(":alice!~a@host JOIN #room * :Alice A."),
        Joined("alice", "#room", 1, True, None, "Alice A."),
        S("353 alice = #room :@bob +~carol!c@h alice"),
        S("366 alice #Room :End of /NAMES list."),
        NamesReceived(
            "#room",
            (
                MemberSnapshot("carol", "~+"),
                MemberSnapshot("bob", "@"),
                MemberSnapshot("alice", ""),
            ),
            True,
        ),
        S(":dave!d@h JOIN #room daves :Dave"),
        Joined("dave", "#room", 4, False, "daves", "Dave"),
        S(f"{BOB} PART #room :tea"),
        Parted("bob", "#room", 3, "tea", False),
        S(":carol!c@h KICK #ROOM dave :spam"),
        Kicked("dave", "#room", 2, "carol", "spam", False),
        S(":carol!c@h NICK caroline"),
        NickChanged("carol", "caroline", False, ("#room",)),
        S(":caroline!c@h QUIT :bye"),
        Quit("caroline", (("#room", 1),), "bye"),
        S(":alice!~a@host NICK alicia"),
        NickChanged("alice", "alicia", True, ("#room",)),
        S(":alicia!~a@host PART #room"),
        Parted("alicia", "#room", 0, "", True),
        S("366 alicia #room :End of /NAMES list."),
        Reply("366", ("#room", "End of /NAMES list."), "End of /NAMES list."),
    ],
    "the names of old servers": [
        *OLD,
        S(":Alice!a@h JOIN :&Tea[1]"),
        Joined("Alice", "&Tea[1]", 1, True),
        S("353 alice @ &Tea[1] :@bob"),
        S("353 alice @ &Tea[1] :alice "),
        S("366 alice &tea{1} :End of /NAMES list."),
        NamesReceived("&Tea[1]", (MemberSnapshot("bob", "@"), MemberSnapshot("alice", "")), True),
        S(":bob!b@h MODE &tea{1} +v-o alice bob"),
        ModeChanged("&Tea[1]", ("+v-o", "alice", "bob"), "bob"),
        S("366 alice &Tea[1] :End of /NAMES list."),
        NamesReceived("&Tea[1]", (MemberSnapshot("alice", "+"), MemberSnapshot("bob", "")), False),
        S(":bob!b@h KICK &Tea[1] ALICE"),
        Kicked("ALICE", "&Tea[1]", 0, "bob", "", True),
    ],
    "texts of others": [
        *NEW,
        S(f"@time=2026-05-06T07:08:09.012Z;msgid=m1;account=bobs {BOB} PRIVMSG #room :hi there"),
        said(
            "#room",
            "bob",
            "hi there",
            account="bobs",
            msgid="m1",
            time=datetime(2026, 5, 6, 7, 8, 9, 12000, tzinfo=UTC),
        ),
        S(f"@time=nonsense {BOB} NOTICE alice :psst"),
        said("bob", "bob", "psst", target="alice", kind="notice"),
        S(f"{BOB} PRIVMSG @#room :\x01ACTION waves\x01"),
        said("#room", "bob", "waves", target="@#room", kind="action"),
        S(f"@time=1970-01-01T00:00:00Z {BOB} PRIVMSG #room :old"),
        said("#room", "bob", "old", time=datetime(1970, 1, 1, tzinfo=UTC)),
        S(f"{BOB} PRIVMSG alice :\x01VERSION\x01"),
        said("bob", "bob", "VERSION", target="alice", kind="ctcp"),
        S(":irc.new NOTICE alice :*** hello"),
        said("", "irc.new", "*** hello", target="alice", kind="notice", direct=False),
    ],
    "our texts, where the server echoes": [
        *NEW,
        send("hello"),
        C("@label=1.0 PRIVMSG #room hello"),
        S("@label=1.0;time=2026-01-02T03:04:05Z :alice!~a@host PRIVMSG #room :hello"),
        said("#room", "alice", "hello", own=True, delivery=1),
        Delivered(1),
        send("waves", kind="action", delivery=2),
        C("@label=2.0 PRIVMSG #room :\x01ACTION waves\x01"),
        send("note", "bob", kind="notice", delivery=3),
        C("@label=3.0 NOTICE bob note"),
        S("@label=3.0 :alice!~a@host NOTICE bob :note"),
        said("bob", "alice", "note", own=True, kind="notice", delivery=3),
        Delivered(3),
        S("@label=2.0 FAIL PRIVMSG TOO_FAST #room :Slow down"),
        NotDelivered(2, "#room", "TOO_FAST", "Slow down"),
    ],
    "our text in a batch with an away message": [
        *NEW,
        send("hello", "bob"),
        C("@label=1.0 PRIVMSG bob hello"),
        S("@label=1.0 BATCH +x labeled-response"),
        S("@batch=x :alice!~a@host PRIVMSG bob :hello"),
        S("@batch=x :irc.new 301 alice bob :gone fishing"),
        S("BATCH -x"),
        said("bob", "alice", "hello", own=True, delivery=1),
        Delivered(1),
        Reply("301", ("bob", "gone fishing"), "gone fishing"),
    ],
    "our texts to ourselves": [
        *NEW,
        send("note", "alice"),
        C("@label=1.0 PRIVMSG alice note"),
        S("@label=1.0 :alice!~a@host PRIVMSG alice :note"),
        said("alice", "alice", "note", own=True, delivery=1),
        Delivered(1),
        S(":alice!~a@host PRIVMSG alice :note"),
    ],
    "several lines are one delivery": [
        *NEW,
        send("one\r\n\ntwo\rthree"),
        C("@label=1.0 PRIVMSG #room one"),
        C("@label=1.1 PRIVMSG #room two"),
        C("@label=1.2 PRIVMSG #room three"),
        S("@label=1.0 ACK"),
        S("@label=1.1 404 alice #room :Cannot send to channel"),
        NotDelivered(1, "#room", "404", "Cannot send to channel"),
        S("@label=1.2 ACK"),
    ],
    "our texts, where nothing is echoed": [
        *OLD,
        send("hello"),
        C("PRIVMSG #room hello"),
        C("PING delivery-1"),
        said("#room", "alice", "hello", own=True, delivery=1),
        send("psst", "nobody", delivery=2),
        C("PRIVMSG nobody psst"),
        C("PING delivery-2"),
        said("nobody", "alice", "psst", own=True, delivery=2),
        S(":irc.old PONG irc.old :delivery-1"),
        Delivered(1),
        S(":irc.old 401 alice NoBody :No such nick/channel"),
        NotDelivered(2, "nobody", "401", "No such nick/channel"),
        S(":irc.old PONG irc.old :delivery-2"),
        S(":irc.old PONG irc.old :delivery-x"),
        RawReceived(Message("PONG", ("irc.old", "delivery-x"), "irc.old")),
    ],
    "refusals": [
        *OLD,
        S("403 alice #nowhere :No such channel"),
        Failure("", "403", ("#nowhere",), "No such channel"),
        S("FAIL JOIN CHANNEL_RENAMED #a #b :moved"),
        Failure("JOIN", "CHANNEL_RENAMED", ("#a", "#b"), "moved"),
        S("433 alice bob :Nickname is already in use"),
        NickRejected("bob", False, "Nickname is already in use"),
        S("437 alice #room :Channel is temporarily unavailable"),
        Failure("", "437", ("#room",), "Channel is temporarily unavailable"),
        S("421 alice FOO :Unknown command"),
        Failure("", "421", ("FOO",), "Unknown command"),
    ],
    "changes of people": [
        *OLD,
        S(f"{BOB} AWAY :lunch"),
        AwayChanged("bob", "lunch"),
        S(f"{BOB} AWAY"),
        AwayChanged("bob", None),
        S(f"{BOB} ACCOUNT bobs"),
        AccountChanged("bob", "bobs"),
        S(f"{BOB} ACCOUNT *"),
        AccountChanged("bob", None),
        S(f"{BOB} SETNAME :Bob B."),
        RealnameChanged("bob", "Bob B."),
        S(f"{BOB} CHGHOST u h.example"),
        HostChanged("bob", "u", "h.example"),
        S(f"{BOB} REDACT #room id1 :bad example"),
        Redacted("#room", "id1", "bob", "bad example"),
        S(f"{BOB} REDACT alice id2"),
        Redacted("bob", "id2", "bob", ""),
        S(":alice!~a@host REDACT bob id3"),
        Redacted("bob", "id3", "alice", ""),
        S(f"{BOB} INVITE alice #room"),
        Invited("alice", "#room", "bob", True),
        S(f"{BOB} TOPIC #room :tea"),
        TopicChanged("#room", "tea", "bob"),
        S("332 alice #room :tea"),
        TopicChanged("#room", "tea", None),
        S("331 alice #room :No topic is set"),
        TopicChanged("#room", "", None),
        S(":alice!a@h MODE alice +i"),
        ModeChanged("alice", ("+i",), "alice"),
        S("901 alice alice!a@h :You are now logged out"),
        LoggedOut("You are now logged out"),
        S("REGISTER VERIFICATION_REQUIRED alice :Look into your mail"),
        VerificationRequired("alice", "Look into your mail"),
        S("NOTE * HINT :by the way"),
        Reply("NOTE", ("*", "HINT", "by the way"), "by the way"),
    ],
    "what we do not know is not lost": [
        *OLD,
        S(f"{BOB} TAGMSG"),
        RawReceived(Message("TAGMSG", (), "bob!~b@host")),
        S("MARKREAD #room yesterday"),
        RawReceived(Message("MARKREAD", ("#room", "yesterday"))),
        S(f"{BOB} WALLOPS :hi"),
        RawReceived(Message("WALLOPS", ("hi",), "bob!~b@host")),
        S("PRIVMSG"),
        RawReceived(Message("PRIVMSG")),
    ],
    "a netsplit, in a batch": [
        *OLD,
        S(":a.irc BATCH +y netsplit a.irc b.irc"),
        S(f"@batch=y {BOB} QUIT :a.irc b.irc"),
        S("@batch=y :carl!c@h QUIT :a.irc b.irc"),
        S("BATCH -y"),
        PeopleLost("b.irc", (Quit("bob", (), "a.irc b.irc"), Quit("carl", (), "a.irc b.irc"))),
        S("BATCH +y netsplit *.net *.split"),  # "if the server has chosen to hide links"
        S(f"@batch=y {BOB} QUIT :*.net *.split"),
        S("BATCH -y"),
        PeopleLost("", (Quit("bob", (), "*.net *.split"),)),
        S("BATCH +y netsplit a.irc b.irc"),
        S("BATCH -y"),  # nobody was there
    ],
    "people who are back, in a batch": [
        *OLD,
        S(":a.irc BATCH +y netjoin b.irc a.irc"),
        S(f"@batch=y {BOB} JOIN #room"),
        S("@batch=y :a.irc MODE #room +o bob"),
        S(f"@batch=y {BOB} JOIN #attic"),
        S("BATCH -y"),
        ModeChanged("#room", ("+o", "bob"), "a.irc"),
        PeopleBack("b.irc", (Joined("bob", "#room", 0, False), Joined("bob", "#attic", 0, False))),
    ],
    "the relays that there are": [
        *OLD,
        S("005 alice securechat/RELAYS=a.example.org:6697,[::1]:7000,b :are supported"),
        RelaysAnnounced(
            (RelayAddress("a.example.org"), RelayAddress("::1", 7000), RelayAddress("b"))
        ),
        S("005 alice securechat/RELAYS=a.example.org:6697,[::1]:7000,b :are supported"),
        S("005 alice securechat/RELAYS=b\\x2Cc:1 :are supported"),
        RelaysAnnounced((RelayAddress("b"), RelayAddress("c", 1))),
        S("005 alice -securechat/RELAYS :are supported"),
        RelaysAnnounced(()),
    ],
    # https://ircv3.net/specs/client-tags/reply: "its value references the server provided ID of
    # another message"
    "replies and marks": [
        *NEW,
        send("yes", reply_to="m 1", mark="k1"),
        C("@label=1.0;+reply=m\\s1;+securechat/mark=k1 PRIVMSG #room yes"),
        S("@label=1.0;msgid=m2;+reply=m\\s1;+securechat/mark=k1 :alice!~a@host PRIVMSG #room yes"),
        said("#room", "alice", "yes", own=True, msgid="m2", reply_to="m 1", delivery=1, mark="k1"),
        Delivered(1),
        send("one\ntwo", delivery=2, reply_to="m1", mark="k2"),  # the first line has them
        C("@label=2.0;+reply=m1;+securechat/mark=k2 PRIVMSG #room one"),
        C("@label=2.1 PRIVMSG #room two"),
        S("@label=2.0 ACK"),
        S("@label=2.1 ACK"),
        Delivered(2),
        S(f"@msgid=m3;+draft/reply=m2;+securechat/mark= {BOB} PRIVMSG #room :so?"),
        said("#room", "bob", "so?", msgid="m3", reply_to="m2"),
    ],
    "a reply of several lines": [
        *MULTILINE,
        send("one\ntwo", reply_to="m1", mark="k1"),
        C("@label=1.0;+reply=m1;+securechat/mark=k1 BATCH +1 draft/multiline #room"),
        C("@batch=1 PRIVMSG #room one"),
        C("@batch=1 PRIVMSG #room two"),
        C("BATCH -1"),
        S(f"@+reply=m1;+securechat/mark=k9 {BOB} BATCH +x draft/multiline #room"),
        S(f"@batch=x {BOB} PRIVMSG #room :one"),
        S(f"@batch=x {BOB} PRIVMSG #room :two"),
        S(f"{BOB} BATCH -x"),
        said("#room", "bob", "one\ntwo", reply_to="m1", mark="k9"),
    ],
    "a reply, where nothing is echoed": [
        *HELLO,
        S("CAP * LS :message-tags"),
        C("CAP REQ message-tags"),
        S("CAP * ACK message-tags"),
        C("CAP END"),
        *PLAIN_WELCOME,
        send("one\ntwo", reply_to="m1", mark="k1"),
        C("@+reply=m1;+securechat/mark=k1 PRIVMSG #room one"),
        C("PRIVMSG #room two"),
        C("PING delivery-1"),
        said("#room", "alice", "one", own=True, reply_to="m1", delivery=1, mark="k1"),
        said("#room", "alice", "two", own=True, delivery=1),
        lambda p: p.react("#room", "m1", ":)"),
        C("@+reply=m1;+draft/react=:) TAGMSG #room"),
        Reacted("#room", "m1", "alice", ":)", removed=False, own=True, time=NOW),
        lambda p: p.typing("#room", "active"),
        C("@+typing=active TAGMSG #room"),
    ],
    "a server without tags": [
        *OLD,
        send("yes", reply_to="m1", mark="k1"),
        C("PRIVMSG #room yes"),
        C("PING delivery-1"),
        said("#room", "alice", "yes", own=True, delivery=1),
        lambda p: p.react("#room", "m1", ":)"),
        lambda p: p.typing("#room", "active"),
        lambda p: p.mark_read("#room", NOW),
    ],
    # https://ircv3.net/specs/client-tags/react: "this tag MUST be used in conjunction with the
    # +reply client tag"
    "reactions": [
        *NEW,
        lambda p: p.react("#room", "m1", "👋"),
        C("@label=tags-1;+reply=m1;+draft/react=👋 TAGMSG #room"),
        S("@label=tags-1;+reply=m1;+draft/react=👋 :alice!~a@host TAGMSG #room"),
        Reacted("#room", "m1", "alice", "👋", removed=False, own=True, time=NOW),
        lambda p: p.react("bob", "m1", "👋", remove=True),
        C("@label=tags-2;+reply=m1;+draft/unreact=👋 TAGMSG bob"),
        S("@label=tags-2;+reply=m1;+draft/unreact=👋 :alice!~a@host TAGMSG bob"),
        Reacted("bob", "m1", "alice", "👋", removed=True, own=True, time=NOW),
        S(f"@time=2026-01-01T00:00:00.000Z;+reply=m1;+draft/react=lol {BOB} TAGMSG alice"),
        Reacted("bob", "m1", "bob", "lol", removed=False, own=False, time=LONG_AGO),
        # "An example of a reaction sent as a PRIVMSG with an additional message body"
        S(f"@+reply=m1;+draft/react=lol {BOB} PRIVMSG #room :lol"),
        said("#room", "bob", "lol", reply_to="m1"),
        Reacted("#room", "m1", "bob", "lol", removed=False, own=False, time=NOW),
        S(f"@+draft/react=lol {BOB} TAGMSG #room"),  # to nothing
        S(f"@+reply=m1;+draft/react={'x' * 65} {BOB} TAGMSG #room"),
        S(f"@+reply=m1;+draft/react= {BOB} TAGMSG #room"),
        S(f"@+reply=m1;+example.org/x=y {BOB} TAGMSG #room"),
        lambda p: p.react("#room", "m1", ":("),
        C("@label=tags-3;+reply=m1;+draft/react=:( TAGMSG #room"),
        send("hello"),
        C("@label=1.0 PRIVMSG #room hello"),
        S("@label=tags-3 404 alice #room :Cannot send to channel"),
        Failure("", "404", ("#room",), "Cannot send to channel"),  # of the reaction, not the text
        S("@label=1.0 ACK"),
        Delivered(1),
    ],
    # https://ircv3.net/specs/client-tags/typing: "a TAGMSG command sent with a typing tag using the
    # client-only prefix + and possible values of active, paused, and done"
    "typing": [
        *NEW,
        lambda p: p.typing("#room", "active"),
        C("@label=unasked-1;+typing=active TAGMSG #room"),
        S("@label=unasked-1;+typing=active :alice!~a@host TAGMSG #room"),
        lambda p: p.typing("bob", "done"),
        C("@label=unasked-2;+typing=done TAGMSG bob"),
        S("@label=unasked-2 401 alice bob :No such nick/channel"),
        S("@+typing=active :alice!~a@elsewhere TAGMSG #room"),
        *(
            step
            for state in ("active", "paused", "done")
            for step in (
                S(f"@+typing={state} {BOB} TAGMSG #room"),
                Typing("#room", "bob", state),  # type: ignore[arg-type]
            )
        ),
        S(f"@+typing=active {BOB} TAGMSG alice"),
        Typing("bob", "bob", "active"),
        S(f"@+typing=dreaming {BOB} TAGMSG #room"),
        S("BATCH +h chathistory #room"),
        S(f"@batch=h;+typing=active {BOB} TAGMSG #room"),
        S(f"@batch=h;+reply=m1;+draft/react=:) {BOB} TAGMSG #room"),
        S("BATCH -h"),
        Reacted("#room", "m1", "bob", ":)", removed=False, own=False, time=NOW, replayed=True),
        S(":irc.new 005 alice CLIENTTAGDENY=typing,draft/react :are supported"),
        lambda p: p.typing("#room", "active"),
        lambda p: p.react("#room", "m1", ":("),
    ],
    # https://ircv3.net/specs/extensions/read-marker: "If there is no known last message read
    # timestamp, the timestamp parameter is a literal *"
    "read marks": [
        *NEW,
        S("MARKREAD #room *"),
        ReadMarked("#room", None),
        S("MARKREAD bob timestamp=2026-01-01T00:00:00.000Z"),
        ReadMarked("bob", LONG_AGO),
    ],
    "who is away, as the server tells it": [
        *NEW,
        S(":alice!~a@host JOIN #room * :A"),
        Joined("alice", "#room", 1, True, None, "A"),
        S("353 alice = #room :alice bob"),
        S("366 alice #room :End of /NAMES list."),
        NamesReceived("#room", (MemberSnapshot("alice", ""), MemberSnapshot("bob", "")), True),
        S(f"{BOB} AWAY :lunch"),
        AwayChanged("bob", "lunch"),
        S("306 alice :You are away"),
        Reply("306", ("You are away",), "You are away"),
        S("353 alice = #room :alice bob"),
        S("366 alice #room :End of /NAMES list."),
        NamesReceived(
            "#room", (MemberSnapshot("alice", "", True), MemberSnapshot("bob", "", True)), False
        ),
        S(":alice!~a@host JOIN #hall * :A"),
        Joined("alice", "#hall", 1, True, None, "A"),
        S(":alice!~a@host PART #room"),
        Parted("alice", "#room", 0, "", True),
        S(f"{BOB} JOIN #hall * :B"),
        Joined("bob", "#hall", 2, False, None, "B"),
        S("305 alice :You are back"),
        Reply("305", ("You are back",), "You are back"),
        S("353 alice = #hall :alice bob"),
        S("366 alice #hall :End of /NAMES list."),
        NamesReceived("#hall", (MemberSnapshot("alice", ""), MemberSnapshot("bob", "")), True),
    ],
    "is anybody there": [*OLD, ClientProtocol.ping, C("PING alive"), S("PONG irc.old alive")],
    "raw lines": [*OLD, lambda p: p.raw("@a=b WHOIS  bob"), C("@a=b WHOIS  bob")],
}


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversation(name: str, bytewise: bool) -> None:
    play(make(), CONVERSATIONS[name], bytewise=bytewise)


def test_what_is_open_when_the_connection_ends() -> None:
    protocol = make()
    play(protocol, [*NEW, send("hello"), C("@label=1.0 PRIVMSG #room hello"), S("ERROR :bye")])
    assert protocol.connection_lost("gone") == [NotDelivered(1, "#room", "CONNECTION_LOST", "bye")]


def test_texts_before_the_welcome_are_refused() -> None:
    steps = [*HELLO, send("hi"), NotDelivered(1, "#room", "NOT_CONNECTED", "not connected")]
    play(make(), steps)


def test_texts_that_are_never_answered_do_not_pile_up() -> None:
    protocol = make()
    play(protocol, NEW)
    for delivery in range(OPEN_DELIVERIES):
        protocol.send_text("#room", "hi", delivery=delivery)
    protocol.data_to_send()
    text = "too many texts wait for an answer"
    play(protocol, [send("hi", delivery=5000), NotDelivered(5000, "#room", "TOO_MANY", text)])


def test_long_texts_are_cut_so_that_others_get_them_whole() -> None:
    protocol = make()
    play(protocol, NEW)
    protocol.receive_data(b":alice!~alice@a.host.example JOIN #room * :A\r\n")
    text = "ünï cödé " * 200
    protocol.send_text("#room", text.strip(), delivery=1)
    lines = protocol.data_to_send().decode().splitlines()
    pieces = []
    for line in lines:
        message = Message.parse(line)
        seen = Message("PRIVMSG", message.params, "alice!~alice@a.host.example").to_line()
        assert len(seen.encode()) <= BODY_BYTES
        pieces.append(message.params[1])
    assert len(pieces) == -(-len(text.encode()) // (BODY_BYTES - 50))
    assert " ".join(pieces) == text.strip()


def test_a_target_that_leaves_no_room() -> None:
    protocol = make()
    play(protocol, OLD)
    with pytest.raises(LocalProtocolError, match="no room"):
        protocol.send_text("#" + "x" * 400, "hi", delivery=1)
    assert protocol.data_to_send() == b""


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("", "x"),
        ("a b", "x"),
        ("a,b", "x"),
        (":a", "x"),
        ("a\r\nQUIT", "x"),
        ("a", "\r\n"),
        ("a", "\0"),
        ("a", "x\udc80"),
        ("\udc80", "x"),
    ],
)
def test_texts_that_cannot_be_said(target: str, text: str) -> None:
    with pytest.raises(LocalProtocolError):
        check_text(target, text)


@pytest.mark.parametrize("value", ["x\0", "x" * 4000, "\udc80"])
def test_tags_that_cannot_be_said(value: str) -> None:
    with pytest.raises(LocalProtocolError):
        text_tags(value, None)
    with pytest.raises(LocalProtocolError):
        text_tags("m1", value)
    assert text_tags("", None) == {}


@pytest.mark.parametrize(
    ("target", "msgid", "reaction"),
    [
        ("a b", "m1", ":)"),
        ("#room", "", ":)"),
        ("#room", "m1", ""),
        ("#room", "m1", "x" * 65),
        ("#room", "m1", "\0"),
        ("#room", "x" * 4000, ":)"),
    ],
)
def test_reactions_that_cannot_be_said(target: str, msgid: str, reaction: str) -> None:
    check_reaction("#room", "m1", "x" * 64)
    with pytest.raises(LocalProtocolError):
        check_reaction(target, msgid, reaction)


@pytest.mark.parametrize(
    "tag",
    [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-14:00",
    ],
)
def test_a_time_that_cannot_be_shown_everywhere_is_our_own(tag: str) -> None:
    protocol = make()
    play(protocol, [*NEW, S(f"@time={tag} {BOB} PRIVMSG #room :hi"), said("#room", "bob", "hi")])


@pytest.mark.parametrize(
    "line", ["", "A\r\nB", "  ", "JOIN " + "x" * 600, "PRIVMSG #a :x\0", "X \udc80"]
)
def test_lines_that_cannot_be_said(line: str) -> None:
    with pytest.raises(LocalProtocolError):
        check_line(line)


def test_commands_that_cannot_be_said() -> None:
    for words in [
        ("JOIN", "a b", "c"),
        ("join", "#a"),
        ("TOPIC", "#a", "x\ny"),
        ("JOIN", "#\udc80"),
    ]:
        with pytest.raises(LocalProtocolError):
            check_command(*words)


@pytest.mark.parametrize(
    "data", [b"\0\r\n", b"x" * 20_000, b"@batch=none FOO\r\n", b"BATCH -x\r\n"]
)
def test_what_no_server_may_say(data: bytes) -> None:
    protocol = make()
    protocol.start()
    with pytest.raises(RemoteProtocolError):
        protocol.receive_data(data)


# ---- any bytes ----

_WORDS = st.sampled_from(
    [
        "CAP",
        "AUTHENTICATE",
        "001",
        "005",
        "353",
        "366",
        "376",
        "433",
        "437",
        "900",
        "903",
        "904",
        "908",
        "421",
        "301",
        "404",
        "JOIN",
        "PART",
        "KICK",
        "QUIT",
        "NICK",
        "PRIVMSG",
        "NOTICE",
        "MODE",
        "TOPIC",
        "INVITE",
        "AWAY",
        "ACCOUNT",
        "BATCH",
        "ERROR",
        "PING",
        "PONG",
        "FAIL",
        "REGISTER",
        "ACK",
        "SETNAME",
        "CHGHOST",
        "TAGMSG",
        "MARKREAD",
        "CHATHISTORY",
        "chathistory",
        "+x",
        "352",
        "354",
        "315",
        "1",
        "NAK",
        "LS",
        "NEW",
        "DEL",
        "*",
        "alice",
        "bob",
        "#room",
        "+",
        "+ov-b",
        "+x",
        "-x",
        "sasl=PLAIN",
        "sasl",
        "batch",
        "echo-message",
        "SUCCESS",
        "NICKNAME_RESERVED",
        "ACCOUNT_REQUIRED",
        "CHANTYPES=",
        "PREFIX=(o)@",
        "PREFIX=x",
        "CASEMAPPING=ascii",
        "cj1hYmM=",
        ":",
        ":text",
        "\x01ACTION",
        "ÿ",
    ]
)
_LINES = st.builds(
    lambda tags, source, words: f"{tags}{source}{' '.join(words)}\r\n".encode(),
    st.sampled_from(
        [
            "",
            "@label=1.0 ",
            "@batch=x;label=1.0 ",
            "@time=x;account=b ",
            "@label=ask-2 ",
            "@batch=x ",
            "@+typing=active ",
            "@+reply=m;+draft/react=x ",
        ]
    ),
    st.sampled_from(["", ":alice!a@h ", ":bob!b@h ", ":irc.test ", ": "]),
    st.lists(_WORDS, min_size=1, max_size=6),
)


@given(
    st.lists(st.one_of(_LINES, st.binary(max_size=80)), max_size=25),
    st.booleans(),
    st.booleans(),
)
def test_any_bytes_are_events_or_a_remote_protocol_error(
    chunks: list[bytes], with_login: bool, welcomed: bool
) -> None:
    protocol = make(
        credentials=Credentials("alice", "pencil") if with_login else None, other_nick=True
    )
    protocol.start()
    if welcomed:
        protocol.receive_data(b"001 alice :Welcome\r\n422 alice :no MOTD\r\n")
        protocol.send_text("#room", "hello", delivery=1)
        protocol.session.enabled.update({"draft/chathistory", "labeled-response", "batch"})
        protocol.ask(2, history_page("#room", limit=5))
        protocol.ask_presence("#room")
    try:
        for chunk in chunks:
            protocol.receive_data(chunk)
    except RemoteProtocolError:
        pass
    for line in protocol.data_to_send().decode().split("\r\n")[:-1]:
        Message.parse(line)
