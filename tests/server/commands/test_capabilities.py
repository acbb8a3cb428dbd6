"""CAP, and what each capability changes: the same conversation with it and without."""

from __future__ import annotations

import re

import pytest

from securechat.irc.capabilities import BITS
from tests.server.conftest import StartRelay
from tests.server.relay_harness import Client, RunningRelay, commands, short

TIME = "2023-11-14T22:13:20.250Z"
METADATA = "before-connect,max-subs=100,max-keys=50,max-value-bytes=256"
VALUES = {
    "draft/metadata-2": METADATA,
    "draft/metadata-3": METADATA,
    "sasl": "SCRAM-SHA-256-PLUS,SCRAM-SHA-256,PLAIN",
    "draft/account-registration": "before-connect",
    "draft/multiline": "max-bytes=4096,max-lines=32",
}


def listed(lines: list[str], nick: str = "*", subcommand: str = "LS") -> list[str]:
    """Return the capabilities of an answer in as many lines as it needs."""
    words = []
    for number, line in enumerate(lines, 1):
        more = "* " if number < len(lines) else ""
        start = f"CAP {nick} {subcommand} {more}"
        assert line.startswith(start), line
        words += line.removeprefix(start).removeprefix(":").split(" ")
    return words


# ---- LS, LIST ----


STANDARD = [name for name in BITS if "/" not in name]


def test_ls_is_one_line_without_values(relay: RunningRelay) -> None:
    """ "If a client has not indicated support for CAP LS 302 features, the server MUST NOT send
    these new features to the client." "multiline LS and LIST replies must only be used for CAP
    302": should they not all fit in one line, it is drafts that such a client cannot know."""
    for line in ("CAP LS", "CAP LS 301", "CAP LS x", "cap ls"):
        (answer,) = relay.connect().ask(line)
        words = answer.removeprefix("CAP * LS :").split(" ")
        assert words[: len(STANDARD)] == STANDARD
        assert set(words) <= set(BITS)


def test_list_is_one_line_too(relay: RunningRelay) -> None:
    client = relay.connect()
    client.request(*STANDARD)
    assert client.ask("CAP LIST") == [f"CAP * LIST :{' '.join(STANDARD)}"]


@pytest.mark.parametrize("version", ["302", "303", "307", "00302", "9" * 300])
def test_ls_302_has_values(relay: RunningRelay, version: str) -> None:
    """ "The CAP version number argument MUST be treated as a number by the server. If the client's
    CAP version is not supported by the server, the server MUST enable the features it does support
    below the given version." """
    words = [f"{name}={VALUES[name]}" if name in VALUES else name for name in BITS]
    assert listed(relay.connect().ask(f"CAP LS {version}")) == words


def test_a_lower_version_is_answered_as_asked_but_not_kept(relay: RunningRelay) -> None:
    """ "If a client sends a lower CAP version (or omits the version number entirely), servers
    SHOULD return a CAP LS reply consistent with the request's version, but keep storing the
    original (higher) version." """
    client = relay.connect()
    client.ask("CAP LS 302")
    (answer,) = client.ask("CAP LS")
    assert answer.removeprefix("CAP * LS :").split(" ")[: len(STANDARD)] == STANDARD
    assert client.ask("CAP REQ -cap-notify") == ["CAP * NAK -cap-notify"]


def test_cap_at_any_time(relay: RunningRelay) -> None:
    """ "The server MUST accept the CAP command at any time, including after registration." """
    client = relay.join("ann")
    assert listed(client.ask("CAP LS 302"), "ann")[0] == "account-notify"
    assert client.ask("CAP REQ :echo-message") == ["CAP ann ACK echo-message"]
    assert client.ask("PRIVMSG ann :x") == [":ann PRIVMSG ann x"] * 2
    assert client.ask("CAP REQ :-echo-message") == ["CAP ann ACK -echo-message"]
    assert client.ask("PRIVMSG ann :x") == [":ann PRIVMSG ann x"]


def test_cap_end_after_registration(relay: RunningRelay) -> None:
    """ "If the client is already registered, this command MUST be ignored by the server." """
    assert relay.join("ann").ask("CAP END") == []


def test_list(relay: RunningRelay) -> None:
    """ "If no capabilities are enabled, an empty parameter must be sent." "servers MAY list the
    cap-notify capability in CAP LS and CAP LIST" """
    client = relay.connect()
    assert client.ask("CAP LIST") == ["CAP * LIST :"]
    client.request("setname", "batch")
    assert client.ask("CAP LIST") == ["CAP * LIST :batch setname"]
    client.ask("CAP LS 302")
    assert client.ask("CAP LIST") == ["CAP * LIST :batch cap-notify setname"]


# ---- REQ ----


def test_req_is_all_or_nothing(relay: RunningRelay) -> None:
    """ "The capability identifier set must be accepted as a whole, or rejected entirely." "The
    server MUST NOT make any change to any capabilities if it replies with a NAK" """
    client = relay.connect()
    assert client.ask("CAP REQ :batch nonsense setname") == ["CAP * NAK :batch nonsense setname"]
    assert client.ask("CAP REQ :batch -nonsense") == ["CAP * NAK :batch -nonsense"]
    assert client.ask("CAP LIST") == ["CAP * LIST :"]
    assert client.ask("CAP REQ :batch setname ") == ["CAP * ACK :batch setname "]
    assert client.ask("CAP LIST") == ["CAP * LIST :batch setname"]


def test_capability_names_are_case_sensitive_and_without_values(relay: RunningRelay) -> None:
    """ "Capability names are case-sensitive" "MUST NOT specify additional data for any other CAP
    subcommands." """
    client = relay.connect()
    assert client.ask("CAP REQ :Batch") == ["CAP * NAK Batch"]
    assert client.ask("CAP REQ :sasl=PLAIN") == ["CAP * NAK sasl=PLAIN"]


def test_req_again_and_away(relay: RunningRelay) -> None:
    """ "If a client requests a capability which is already enabled, or tries to disable a
    capability which is not enabled, the server MUST continue processing the REQ subcommand as
    though handling this capability was successful." """
    client = relay.connect()
    assert client.ask("CAP REQ batch", "CAP REQ batch") == ["CAP * ACK batch"] * 2
    assert client.ask("CAP REQ -setname", "CAP REQ :-batch") == [
        "CAP * ACK -setname",
        "CAP * ACK -batch",
    ]
    assert client.ask("CAP REQ :batch -batch setname") == ["CAP * ACK :batch -batch setname"]
    assert client.ask("CAP LIST") == ["CAP * LIST setname"]


def test_req_all(relay: RunningRelay) -> None:
    client = relay.connect()
    client.ask("CAP LS 302")
    client.request(*BITS)
    assert listed(client.ask("CAP LIST"), subcommand="LIST") == list(BITS)


@pytest.mark.parametrize("subcommand", ["FOO", "ACK", "NAK", "NEW", "DEL", "CLEAR", "*"])
def test_other_subcommands(relay: RunningRelay, subcommand: str) -> None:
    """ "then numeric 410 (ERR_INVALIDCAPCMD) should be sent. The first parameter after the client
    identifier (usually nickname) should be the commandname" """
    client = relay.connect()
    assert client.ask(f"CAP {subcommand}") == [f"410 * {subcommand} :Invalid CAP command"]
    client.register("jw")
    assert client.ask(f"CAP {subcommand}") == [f"410 jw {subcommand} :Invalid CAP command"]


@pytest.mark.parametrize("line", ["CAP LS", "CAP LS 302", "CAP REQ :batch", "CAP REQ :nonsense"])
def test_registration_waits_for_the_end(relay: RunningRelay, line: str) -> None:
    """ "Upon receiving either a CAP LS or CAP REQ command during connection registration, the
    server MUST not complete registration until the client sends a CAP END" """
    client = relay.connect()
    found = client.ask(line, "NICK ann", "USER ann 0 * :x", "PING x")
    assert set(commands(found[:-1])) == {"CAP"}
    assert commands(found[-1:]) == ["PONG"]
    assert "001" in commands(client.ask("CAP END"))


# ---- cap-notify ----


def test_cap_notify_comes_with_302_and_stays(relay: RunningRelay) -> None:
    """ "servers MUST NOT disable the cap-notify capability if the client requests CAP LS with a
    version of 302 or newer." "capable servers MUST accept and CAP ACK the request" """
    client = relay.connect()
    client.ask("CAP LS 302")
    assert client.ask("CAP REQ cap-notify") == ["CAP * ACK cap-notify"]
    assert client.ask("CAP REQ :-cap-notify") == ["CAP * NAK -cap-notify"]
    assert client.ask("CAP LIST") == ["CAP * LIST cap-notify"]


def test_cap_notify_of_an_older_client(relay: RunningRelay) -> None:
    """ "Such clients MAY explicitly disable the capability, and servers MUST allow these clients
    to do so." """
    client = relay.connect()
    client.ask("CAP LS")
    assert client.ask("CAP REQ cap-notify", "CAP REQ :-cap-notify", "CAP LIST") == [
        "CAP * ACK cap-notify",
        "CAP * ACK -cap-notify",
        "CAP * LIST :",
    ]


# ---- server-time ----


def test_server_time(relay: RunningRelay) -> None:
    """ "YYYY-MM-DDThh:mm:ss.sssZ" "Servers (…) MUST NOT do so before acknowledging the client
    capability using CAP ACK." """
    ann, bob = relay.join("ann", "server-time"), relay.join("bob")
    for client in (ann, bob):
        client.ask("JOIN #a")
    ann.sync()
    bob.ask("PRIVMSG #a :hi", "NICK bobby")
    found = ann.sync()
    assert commands(map(short, found)) == ["PRIVMSG", "NICK"]
    assert {message.tags.get("time") for message in found} == {TIME}
    ann.ask("PRIVMSG #a :hi")
    assert [message.tags for message in bob.sync()] == [{}]


# ---- message-tags ----


def test_client_only_tags_are_relayed_and_others_are_not(relay: RunningRelay) -> None:
    """ "Client-only tags MUST be relayed on PRIVMSG, NOTICE and TAGMSG messages" "Tags without the
    client-only prefix MUST be removed by the server before being relayed" """
    ann, bob = relay.join("ann", "message-tags"), relay.join("bob", "message-tags")
    plain = relay.join("plain", "server-time")
    for client in (ann, bob, plain):
        client.ask("JOIN #a")
    bob.sync()
    plain.sync()
    ann.ask(
        r"@+x=a\:b\s\\;+vendor.example/y;z=1;account=root;time=never;msgid=1 PRIVMSG #a :one",
        "@+x=1;+x=2 NOTICE #a :two",
        "@+typing=active TAGMSG #a",
        "TAGMSG #a",
    )
    found = bob.sync()
    assert [short(message) for message in found] == [
        ":ann PRIVMSG #a one",
        ":ann NOTICE #a two",
        ":ann TAGMSG #a",
        ":ann TAGMSG #a",
    ]
    ids = [message.tags["msgid"] for message in found]
    assert len(set(ids)) == 4
    assert "1" not in ids
    tags = [{k: v for k, v in message.tags.items() if k != "msgid"} for message in found]
    assert tags == [
        {"+x": "a;b \\", "+vendor.example/y": ""},
        {"+x": "2"},
        {"+typing": "active"},
        {},
    ]
    assert [(short(m), m.tags) for m in plain.sync()] == [
        (":ann PRIVMSG #a one", {"time": TIME}),
        (":ann NOTICE #a two", {"time": TIME}),
    ]


def test_server_tags_come_before_those_of_clients(relay: RunningRelay) -> None:
    """ "Any server-sent tags attached to messages MUST be included before client-only tags" """
    ann = relay.join("ann", "message-tags")
    bob = relay.join("bob", "message-tags", "server-time", "account-tag")
    ann.ask("@+x=1 PRIVMSG bob :hi")
    bob.sync()
    line = next(line for line in bob.lines if b" PRIVMSG " in line)
    assert re.match(rb"@time=[^;]+;msgid=[^;]+;\+x=1 :ann!", line), line


def test_tagmsg_to_a_nick(relay: RunningRelay) -> None:
    """ "Servers MUST NOT deliver TAGMSG to clients that haven't negotiated the message tags
    capability." """
    ann, bob = relay.join("ann", "message-tags"), relay.join("bob")
    carl = relay.join("carl", "message-tags")
    assert ann.ask("@+x TAGMSG bob", "@+x TAGMSG carl") == []
    assert ann.ask("TAGMSG nobody") == ["401 ann nobody :No such nick/channel"]
    assert ann.ask("TAGMSG") == ["411 ann :No recipient given (TAGMSG)"]
    assert bob.seen() == []
    assert carl.seen() == [":ann TAGMSG carl"]
    assert bob.ask("TAGMSG ann") == ["421 bob TAGMSG :Unknown command"]


def test_tags_of_a_client_without_the_capability(relay: RunningRelay) -> None:
    """ "This capability enables the use of client-only tags" """
    ann, bob = relay.join("ann"), relay.join("bob", "message-tags")
    ann.ask("@+x=1 PRIVMSG bob :hi")
    assert [set(message.tags) for message in bob.sync()] == [{"msgid"}]


def test_the_most_tags_there_may_be(relay: RunningRelay) -> None:
    """ "<client_max> (4096) :: '@' <tag_data 4094> ' '" "Servers MUST NOT truncate tags" """
    ann = relay.join("ann", "message-tags")
    bob = relay.join("bob", "message-tags", "server-time", "account-tag")
    value = "v" * (4094 - len("+x="))
    assert ann.ask(f"@+x={value} PRIVMSG bob :hi") == []
    (message,) = bob.sync()
    assert message.tags["+x"] == value
    assert ann.ask(f"@+x={value}v PRIVMSG bob :hi") == ["417 ann :Input line was too long"]
    assert bob.sync() == []


def test_any_name_of_a_tag_is_taken(relay: RunningRelay) -> None:
    """ "Implementations MUST treat tag key names as case-sensitive opaque identifiers and MUST NOT
    perform any validation that would reject the message if an invalid tag key name is used." """
    ann, bob = relay.join("ann", "message-tags"), relay.join("bob", "message-tags")
    assert ann.ask("@+é_!=1;+A=2;+a=3;+=4;++=5;=;;+x/y/z PRIVMSG bob :hi") == []
    (message,) = bob.sync()
    tags = {key: value for key, value in message.tags.items() if key != "msgid"}
    assert tags == {"+é_!": "1", "+A": "2", "+a": "3", "++": "5", "+x/y/z": ""}


def test_tagmsg_to_several(relay: RunningRelay) -> None:
    """ "This message MUST be delivered to targets in the same way as PRIVMSG and NOTICE messages.
    This means for example, honouring channel membership, modes, echo-message" """
    ann = relay.join("ann", "message-tags", "echo-message")
    bob, carl = relay.join("bob", "message-tags"), relay.join("carl", "message-tags")
    for client in (ann, bob):
        client.ask("JOIN #a")
    ann.sync()
    assert ann.ask("@+typing=active TAGMSG #a,carl") == [":ann TAGMSG #a", ":ann TAGMSG carl"]
    assert bob.seen() == [":ann TAGMSG #a"]
    assert carl.seen() == [":ann TAGMSG carl"]
    assert carl.ask("@+typing=active TAGMSG #a") == ["404 carl #a :Cannot send to channel (+n)"]
    ann.ask("MODE #a +m")
    bob.sync()
    assert bob.ask("@+typing=active TAGMSG #a") == ["404 bob #a :Cannot send to channel (+m)"]
    assert ann.seen() == []


def test_denied_tags(start_relay: StartRelay) -> None:
    """ "Servers SHOULD use this token to communicate to clients that certain client-only tags are
    blocked and will be silently ignored." "blocking tags will not necessarily block the message
    that the tag is attached to" """
    relay = start_relay(limits={"denied_client_tags": "*,-reply"})
    ann, bob = relay.join("ann", *LABELS), relay.join("bob", "message-tags")
    assert any(" CLIENTTAGDENY=*,-reply " in line for line in ann.ask("VERSION"))
    ann.ask("@+typing=active;+reply=1 PRIVMSG bob :one", "@+typing=active TAGMSG bob")
    found = bob.sync()
    assert [(short(m), m.tags.get("+reply"), m.tags.get("+typing")) for m in found] == [
        (":ann PRIVMSG bob one", "1", None)
    ]
    (answer,) = ann.collect("@+typing=active;label=l TAGMSG bob")
    assert (answer.command, answer.tags) == ("ACK", {"label": "l"})


def test_nothing_is_denied_by_default(relay: RunningRelay) -> None:
    """ "omitting the token entirely is recommended instead" """
    assert not any("CLIENTTAGDENY" in line for line in relay.join("ann").ask("VERSION"))


# ---- labeled-response ----

LABELS = ("labeled-response", "batch", "echo-message", "message-tags")


def test_one_line_has_the_label(relay: RunningRelay) -> None:
    """ "the server MUST include the same tag and value in any response required from this message
    (…) Servers MUST include the tag in exactly one logical message." """
    ann = relay.join("ann", *LABELS)
    (message,) = ann.collect("@label=l1 VERSION nowhere")
    assert (short(message), message.tags) == (
        "402 ann nowhere :No such server",
        {"label": "l1"},
    )
    (message,) = ann.collect(r"@label=a\:\s\\b JOIN nowhere")
    assert message.tags == {"label": "a; \\b"}


def test_no_line_is_acknowledged(relay: RunningRelay) -> None:
    """ "Servers MUST respond with a labeled ACK message when a client sends a labeled command that
    normally produces no response. It takes no additional parameters" """
    ann = relay.join("ann", "labeled-response", "batch")
    relay.join("ann2")
    for line in ("PONG x", "NOTICE nobody :hi", "CAP END", "PRIVMSG ann2 :hi", "NICK ann"):
        (message,) = ann.collect(f"@label=l2 {line}")
        assert (message.command, message.params, message.tags) == ("ACK", (), {"label": "l2"})
        assert message.source == "relay.test"


@pytest.mark.parametrize("line", ["WHOIS ann", "JOIN #a", "LUSERS", "KICK #a bob,carl,dan"])
def test_several_lines_are_a_batch(relay: RunningRelay, line: str) -> None:
    """ "If a response consists of more than one message, a batch MUST be used to group them into a
    single logical response. The start of the batch MUST be tagged with the label tag." """
    ann = relay.join("ann", *LABELS)
    first, *inner, last = ann.collect(f"@label=l3 {line}")
    assert first.command == last.command == "BATCH"
    assert first.tags == {"label": "l3"}
    reference = first.params[0].removeprefix("+")
    assert first.params == (f"+{reference}", "labeled-response")
    assert last.params == (f"-{reference}",)
    assert last.tags == {}
    assert len(inner) > 1
    assert all(message.tags["batch"] == reference for message in inner)
    assert not any("label" in message.tags for message in inner)


def test_several_targets_are_one_labelled_answer(relay: RunningRelay) -> None:
    """ "Servers MUST include the tag in exactly one logical message." """
    ann, bob = relay.join("ann", *LABELS), relay.join("bob", *LABELS)
    ann.ask("JOIN #a")
    start, *inner, end = ann.collect("@label=l PRIVMSG bob,#a,nobody :hi")
    reference = start.params[0][1:]
    assert (start.tags["label"], start.params[1]) == ("l", "labeled-response")
    assert [short(message) for message in inner] == [
        ":ann PRIVMSG bob hi",
        ":ann PRIVMSG #a hi",
        "401 ann nobody :No such nick/channel",
    ]
    assert {message.tags["batch"] for message in inner} == {reference}
    assert not any("label" in message.tags for message in inner)
    assert len({message.tags["msgid"] for message in inner[:2]}) == 2
    assert end.params == (f"-{reference}",)
    (message,) = bob.sync()
    assert "label" not in message.tags


def test_what_a_notice_does_not_answer_is_acknowledged(relay: RunningRelay) -> None:
    """ "Servers MUST respond with a labeled ACK message when a client sends a labeled command that
    normally produces no response." """
    ann = relay.join("ann", *LABELS)
    for line in ("NOTICE nobody :x", "NOTICE", "NOTICE ann", "NOTICE #none :x"):
        (answer,) = ann.collect(f"@label=l {line}")
        assert (answer.command, answer.tags) == ("ACK", {"label": "l"})


def test_batch_references_differ(relay: RunningRelay) -> None:
    ann = relay.join("ann", *LABELS)
    found = ann.collect("@label=a LUSERS", "@label=b LUSERS")
    starts = [m.params[0] for m in found if m.command == "BATCH" and m.params[0][0] == "+"]
    assert len(set(starts)) == 2


def test_an_error_before_the_handler_is_labelled(relay: RunningRelay) -> None:
    ann = relay.join("ann", *LABELS)
    for line, answer in (
        ("NONSENSE", "421 ann NONSENSE :Unknown command"),
        ("JOIN", "461 ann JOIN :Not enough parameters"),
    ):
        (message,) = ann.collect(f"@label=l4 {line}")
        assert (short(message), message.tags) == (answer, {"label": "l4"})


def test_an_echo_is_labelled_and_the_copy_is_not(relay: RunningRelay) -> None:
    """ "When a client sends a message to itself, the server MUST NOT include the label tag, except
    for any acknowledgment sent with the echo-message mechanism." """
    ann, bob = relay.join("ann", *LABELS), relay.join("bob", *LABELS)
    (echo,) = ann.collect("@label=l5;+x=1 PRIVMSG bob :hi")
    assert short(echo) == ":ann PRIVMSG bob hi"
    (received,) = bob.sync()
    assert "label" not in received.tags
    assert {**received.tags, "label": "l5"} == echo.tags
    found = ann.collect("@label=l6 PRIVMSG ann :me")
    assert [short(m) for m in found] == [":ann PRIVMSG ann me"] * 2
    assert sorted(m.tags.get("label", "") for m in found) == ["", "l6"]
    (echo,) = ann.collect("@label=l7;+x TAGMSG bob")
    assert (short(echo), echo.tags["label"]) == (":ann TAGMSG bob", "l7")


@pytest.mark.parametrize(
    ("label", "kept"), [("x" * 64, True), ("x" * 65, False), ("é" * 32, True), ("é" * 33, False)]
)
def test_long_labels(relay: RunningRelay, label: str, kept: bool) -> None:
    """ "The value MUST NOT exceed 64 bytes." """
    ann = relay.join("ann", *LABELS)
    (message,) = ann.collect(f"@label={label} JOIN")
    assert message.tags == ({"label": label} if kept else {})


@pytest.mark.parametrize("caps", [(), ("batch",), ("labeled-response",), ("message-tags",)])
def test_no_label_without_the_capabilities(relay: RunningRelay, caps: tuple[str, ...]) -> None:
    """ "This specification depends on the batch capability which MUST be negotiated to use labeled
    responses." """
    ann = relay.join("ann", *caps)
    assert ann.ask("@label=x PONG x") == []
    (message,) = ann.collect("@label=x JOIN")
    assert message.tags == {}


def test_a_login_is_one_labelled_answer(relay: RunningRelay) -> None:
    """A command that waits for the password's hash keeps its label."""
    client = relay.connect()
    client.request("draft/account-registration", "labeled-response", "batch")
    client.send("NICK ann", "@label=r REGISTER * * :correct horse battery")
    start = client.expect("BATCH")
    assert start.tags == {"label": "r"}
    assert client.read().params[:2] == ("SUCCESS", "ann")
    assert client.read().command == "900"
    assert client.read().command == "BATCH"


# ---- echo-message ----


def test_echo_message(relay: RunningRelay) -> None:
    """ "If enabled, servers MUST send PRIVMSG and NOTICE messages back to the client that sent
    them." "When the message-tags capability has been enabled, the same rules apply to TAGMSG" """
    ann, bob = relay.join("ann", "echo-message"), relay.join("bob")
    tagger = relay.join("tagger", "echo-message", "message-tags")
    for client in (ann, bob, tagger):
        client.ask("JOIN #a")
    for client in (ann, bob, tagger):
        client.sync()
    lines = ("PRIVMSG #a :one", "NOTICE #a :two", "PRIVMSG bob :three", "NOTICE bob :four")
    assert ann.ask(*lines) == [
        ":ann PRIVMSG #a one",
        ":ann NOTICE #a two",
        ":ann PRIVMSG bob three",
        ":ann NOTICE bob four",
    ]
    assert bob.ask("PRIVMSG #a :x")[-1] != ":bob PRIVMSG #a x"
    ann.sync()
    assert tagger.ask("TAGMSG #a")[-1] == ":tagger TAGMSG #a"
    assert ann.ask("PRIVMSG nobody :x") == ["401 ann nobody :No such nick/channel"]


def test_an_echo_is_the_final_version(relay: RunningRelay) -> None:
    """ "If servers apply any modifications to these messages, they MUST send the final version of
    the message back to the originating client." """
    ann, bob = relay.join("ann", "echo-message"), relay.join("bob")
    for client in (ann, bob):
        client.ask("JOIN #Room")
    ann.sync()
    assert ann.ask("PRIVMSG #rOOM :" + "x" * 490) == bob.seen()
    assert ann.lines[-2] == bob.lines[-2]
    assert len(ann.lines[-2]) == 510


# ---- message-ids ----


def test_an_id_is_of_one_message(relay: RunningRelay) -> None:
    """ "any other message transmitted on the entire network at any time MUST NOT share the same
    value" """
    ann, bob = relay.join("ann", "message-tags", "away-notify"), relay.join("bob", "message-tags")
    ann.ask("JOIN #a")
    bob.ask("AWAY :out", "JOIN #a")
    join, away = ann.sync()
    assert (join.command, away.command) == ("JOIN", "AWAY")
    assert "msgid" in join.tags
    assert "msgid" not in away.tags


# ---- account-notify, account-tag, extended-join ----


def test_account_tag_on_numerics(relay: RunningRelay) -> None:
    """ "The tag also SHOULD be added by the ircd to all numerics directly caused by the sender."
    "If the user is not identified to any services account, the tag MUST NOT be sent." """
    watcher, plain = relay.join("bob", "account-tag"), relay.join("cat")
    for client in (watcher, plain):
        client.ask("MONITOR + ann")
    ann = relay.account("ann", "account-tag")
    (online,) = watcher.sync()
    assert (online.command, online.tags) == ("730", {"account": "ann"})
    (online,) = plain.sync()
    assert (online.command, online.tags) == ("730", {})
    for line in ("JOIN #a", "MODE #a", "TOPIC #none", "METADATA * SET url x"):
        assert {message.tags.get("account") for message in ann.collect(line)} == {"ann"}
    (answer,) = watcher.collect("TOPIC #none")
    assert answer.tags == {}


def join_all(*clients: Client, room: str = "#a") -> None:
    for client in clients:
        client.ask(f"JOIN {room}")
    for client in clients:
        client.sync()


def test_account_notify(relay: RunningRelay) -> None:
    """ "clients will get the ACCOUNT message to designate the account name changes for clients on
    common channels with them, including themselves." """
    relay.account("ann").quit()
    ann = relay.join("guest", "sasl", "account-notify")
    knows, ignorant = relay.join("knows", "account-notify"), relay.join("ignorant")
    stranger = relay.join("stranger", "account-notify")
    join_all(ann, knows, ignorant)
    assert ":guest ACCOUNT ann" in ann.authenticate_plain("ann")
    assert knows.seen() == [":guest ACCOUNT ann"]
    assert ignorant.seen() == []
    assert stranger.seen() == []


def test_account_tag(relay: RunningRelay) -> None:
    """ "The tag MUST be added by the ircd to all commands sent by a user (e.g. PRIVMSG, MODE,
    NOTICE, and all others)." "If the user is not identified (…) the tag MUST NOT be sent." """
    ann, guest = relay.account("ann"), relay.join("guest")
    bob = relay.join("bob", "account-tag", "invite-notify", "away-notify", "setname")
    join_all(ann, bob, guest)
    ann.ask(
        "PRIVMSG #a :x", "NOTICE bob :x", "MODE #a +m", "TOPIC #a :x", "AWAY :x", "SETNAME :x",
        "INVITE bob #b", "JOIN #b", "NICK anna", "PART #a",
    )  # fmt: skip
    found = [message for message in bob.sync() if message.nick.startswith("ann")]
    assert commands(map(short, found)) == [
        "PRIVMSG", "NOTICE", "MODE", "TOPIC", "AWAY", "SETNAME", "NICK", "PART",
    ]  # fmt: skip
    assert {message.tags.get("account") for message in found} == {"ann"}
    guest.ask("PART #a")
    assert [message.tags for message in bob.sync()] == [{}]


def test_extended_join(relay: RunningRelay) -> None:
    """ ":nick!user@host JOIN #channelname accountname :Real Name" and "*" for one without."""
    knows, ignorant = relay.join("knows", "extended-join"), relay.join("ignorant")
    assert knows.ask("JOIN #a")[0] == ":knows JOIN #a * :Real knows"
    ignorant.ask("JOIN #a")
    knows.sync()
    relay.account("ann").ask("JOIN #a")
    relay.join("guest").ask("JOIN #a")
    assert knows.seen() == [":ann JOIN #a ann :Real ann", ":guest JOIN #a * :Real guest"]
    assert ignorant.seen() == [":ann JOIN #a", ":guest JOIN #a"]


# ---- away-notify ----


def test_away_notify(relay: RunningRelay) -> None:
    """ "clients will be sent an AWAY message when a user sharing a channel with them sets, changes
    or removes their away state" "Clients SHOULD NOT be sent AWAY messages to notify them of their
    own away status" """
    ann, knows = relay.join("ann", "away-notify"), relay.join("knows", "away-notify")
    ignorant, stranger = relay.join("ignorant"), relay.join("stranger", "away-notify")
    join_all(ann, knows, ignorant)
    assert commands(ann.ask("AWAY :lunch", "AWAY :dinner", "AWAY :dinner", "AWAY")) == [
        "306", "306", "306", "305",
    ]  # fmt: skip
    assert knows.seen() == [":ann AWAY lunch", ":ann AWAY dinner", ":ann AWAY"]
    assert ignorant.seen() == []
    assert stranger.seen() == []


def test_away_as_other_devices_see_it(relay: RunningRelay) -> None:
    """ "Clients SHOULD NOT be sent AWAY messages to notify them of their own away status" """
    relay.account("ann").quit()
    laptop, phone = (relay.login("ann", "away-notify") for _ in range(2))
    laptop.ask("JOIN #a")
    phone.sync()
    laptop.ask("AWAY :out")
    phone.ask("AWAY :out", "AWAY")
    assert "AWAY" not in commands(laptop.seen())
    assert "AWAY" not in commands(phone.seen())


def test_an_away_user_joins(relay: RunningRelay) -> None:
    """ "as well as when a user joins and has an away message set. (Note that AWAY will not be sent
    for joining users with no away message set.)" """
    ann, knows = relay.join("ann", "away-notify"), relay.join("knows", "away-notify")
    ignorant = relay.join("ignorant")
    join_all(knows, ignorant)
    ann.ask("AWAY :gone fishing")
    assert "AWAY" not in commands(ann.ask("JOIN #a"))
    assert knows.seen() == [":ann JOIN #a", ":ann AWAY :gone fishing"]
    assert ignorant.seen() == [":ann JOIN #a"]


# ---- names ----


def test_multi_prefix(relay: RunningRelay) -> None:
    """ "send all possible prefixes which apply to a user in NAMES, WHO and WHOIS output. These
    prefixes MUST be in order of 'rank', from highest to lowest." """
    ann, knows = relay.join("ann"), relay.join("knows", "multi-prefix")
    join_all(ann, knows)
    ann.ask("MODE #a +v ann")
    knows.sync()
    assert knows.ask("NAMES #a")[0] == "353 knows = #a :@+ann knows"
    assert ann.ask("NAMES #a")[0] == "353 ann = #a :@ann knows"
    assert " H@+ " in knows.ask("WHO ann")[0]
    assert " H@ " in ann.ask("WHO ann")[0]
    assert "319 knows ann @+#a" in knows.ask("WHOIS ann")
    assert "319 ann ann @#a" in ann.ask("WHOIS ann")


def test_userhost_in_names(relay: RunningRelay) -> None:
    """ "the full hostmask (nick!user@host) of every user listed." """
    ann, bob = relay.join("ann", "userhost-in-names"), relay.join("bob")
    join_all(ann, bob)
    host = relay.session("ann").host
    assert ann.ask("NAMES #a")[0] == f"353 ann = #a :@ann!~ann@{host} bob!~bob@{host}"
    assert bob.ask("NAMES #a")[0] == "353 bob = #a :@ann bob"


def test_userhost_in_names_with_all_prefixes(relay: RunningRelay) -> None:
    ann = relay.join("ann", "userhost-in-names", "multi-prefix")
    host = relay.session("ann").host
    (line,) = (line for line in ann.ask("JOIN #a") if line.startswith("353 "))
    assert line == f"353 ann = #a @ann!~ann@{host}"
    ann.ask("MODE #a +v ann")
    assert ann.ask("NAMES #a")[0] == f"353 ann = #a @+ann!~ann@{host}"


# ---- setname, invite-notify, standard-replies ----


def test_a_new_realname_is_shown_to_who_comes_later(relay: RunningRelay) -> None:
    """extended-join: "The last parameter is the user's GECOS." setname: "When enabled, servers MUST
    provide a NAMELEN token" """
    ann, knows = relay.join("ann", "setname"), relay.join("knows", "extended-join")
    assert any(" NAMELEN=150 " in line for line in ann.ask("VERSION"))
    knows.ask("JOIN #a")
    ann.ask("SETNAME :Bruce Wayne", "JOIN #a")
    assert knows.seen() == [":ann JOIN #a * :Bruce Wayne"]


def test_setname(relay: RunningRelay) -> None:
    """ "they MUST send the server-to-client version of the SETNAME message to all clients in common
    channels, as well as to the client from which it originated" "The SETNAME message MUST NOT be
    sent to clients which do not have the setname capability negotiated." "the server SHOULD handle
    it silently" """
    ann, knows = relay.join("ann", "setname"), relay.join("knows", "setname")
    ignorant = relay.join("ignorant")
    join_all(ann, knows, ignorant)
    assert ann.ask("SETNAME :Bruce Wayne") == [":ann SETNAME :Bruce Wayne"]
    assert knows.seen() == [":ann SETNAME :Bruce Wayne"]
    assert ignorant.seen() == []
    assert ignorant.ask("SETNAME :Nobody") == []
    assert ann.ask("WHOIS ignorant")[1].endswith("* Nobody")


def test_invite_notify(relay: RunningRelay) -> None:
    """ ":<inviter> INVITE <target> <channel>"; "a server may choose to only send the message to
    (…) clients that have the privilege to do an /INVITE on the channel themselves." """
    ann, knows = relay.join("ann", "invite-notify"), relay.join("knows", "invite-notify")
    ignorant, target = relay.join("ignorant"), relay.join("target")
    join_all(ann, knows, ignorant)
    assert ann.ask("INVITE target #a") == ["341 ann target #a"]
    assert target.seen() == [":ann INVITE target #a"]
    assert knows.seen() == [":ann INVITE target #a"]
    assert ignorant.seen() == []
    ann.ask("MODE #a +i", "INVITE target #a")
    assert knows.seen() == [":ann MODE #a +i"]


def test_standard_replies(relay: RunningRelay) -> None:
    """ "This capability allows servers to send arbitrary standard replies other than ones enabled
    by a specific specification." """
    relay.account("ann").quit()
    for caps, wanted in (((), ["433"]), (("standard-replies",), ["FAIL", "433"])):
        client = relay.connect()
        client.request("sasl", *caps)
        assert commands(client.ask("USER a 0 * :x", "NICK ann", "CAP END")) == wanted


def test_sasl_and_registration_are_needed_for_their_commands(relay: RunningRelay) -> None:
    """ "The client MUST enable the sasl capability before using the AUTHENTICATE command" """
    client = relay.connect()
    assert client.ask("AUTHENTICATE PLAIN") == ["904 * :Request the sasl capability first"]


def test_closed_registration_is_not_offered(start_relay: StartRelay) -> None:
    """ "whose presence signifies that the server accepts the REGISTER command." """
    relay = start_relay(accounts={"registration": "closed"})
    client = relay.connect()
    assert "account-registration" not in " ".join(client.ask("CAP LS 302"))
    assert client.ask("CAP REQ draft/account-registration") == [
        "CAP * NAK draft/account-registration"
    ]


def test_invitations_are_asked_for_in_place_of_an_address(start_relay: StartRelay) -> None:
    """ "email-required - if present, registrations require a valid email address" """
    relay = start_relay(accounts={"registration": "invite"})
    offered = listed(relay.connect().ask("CAP LS 302"))
    assert "draft/account-registration=before-connect,email-required" in offered


def test_capabilities_can_change_in_a_room(relay: RunningRelay) -> None:
    """What a channel's members get follows their capabilities at once."""
    ann, bob = relay.join("ann"), relay.join("bob")
    join_all(ann, bob)
    for cap in ("server-time", "message-tags"):
        ann.ask("@+x PRIVMSG #a :x")
        assert [message.tags for message in bob.sync()] == [{}]
        bob.request(cap)
        ann.ask("PRIVMSG #a :x")
        (message,) = bob.sync()
        assert set(message.tags) == {"server-time": {"time"}, "message-tags": {"msgid"}}[cap]
        bob.request(f"-{cap}")


def test_a_request_that_cannot_be_echoed_whole_is_refused(relay: RunningRelay) -> None:
    """ "Clients SHOULD ensure that their list of requested capabilities is not too long to be
    replied to with a single ACK or NAK message." """
    client = relay.connect()
    most = 510 - len(":relay.test CAP * ACK :")
    fits = "batch " * 79
    fits += " " * (most - len(fits))
    assert client.ask(f"CAP REQ :{fits}") == [f"CAP * ACK :{fits}"]
    (line,) = client.ask(f"CAP REQ :-{fits}")
    assert line == f"CAP * NAK :{('-' + fits)[:most]}"
    assert client.ask("CAP LIST") == ["CAP * LIST batch"]
