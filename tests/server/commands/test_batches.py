"""BATCH from clients: messages of several lines."""

from __future__ import annotations

import pytest

from securechat.irc.message import Message
from tests.server.commands.test_channels import together
from tests.server.conftest import StartRelay
from tests.server.relay_harness import Client, FakeClock, RunningRelay, short

CAPS = ("message-tags", "batch", "draft/multiline")
LABELS = (*CAPS, "labeled-response", "echo-message")
INVALID = "FAIL BATCH MULTILINE_INVALID"


def batch(*lines: str, target: str = "#a", tags: str = "", reference: str = "123") -> list[str]:
    """Return a batch of ``lines``; one that begins with ``+`` goes on the line before."""
    start = f"BATCH +{reference} draft/multiline {target}"
    texts = [
        f"@batch={reference};draft/multiline-concat PRIVMSG {target} :{line[1:]}"
        if line.startswith("+")
        else f"@batch={reference} PRIVMSG {target} :{line}"
        for line in lines
    ]
    return [f"@{tags} {start}" if tags else start, *texts, f"BATCH -{reference}"]


def codes(lines: list[str]) -> list[str]:
    """Return lines without their texts for people."""
    return [line.partition(" :")[0] for line in lines]


def seen_batch(messages: list[Message]) -> tuple[Message, list[str]]:
    """Return the opening and the texts (``+`` before those that go on) of one batch."""
    opening, *lines, end = messages
    assert opening.command == end.command == "BATCH"
    reference = opening.params[0][1:]
    assert opening.params[0][0] == "+"
    assert end.params == (f"-{reference}",)
    for line in lines:
        assert set(line.tags) <= {"batch", "draft/multiline-concat"}
        assert line.tags["batch"] == reference
        assert line.params[0] == opening.params[2]
    marks = ["+" * ("draft/multiline-concat" in line.tags) for line in lines]
    return opening, [mark + line.params[1] for mark, line in zip(marks, lines, strict=True)]


@pytest.fixture
def people(relay: RunningRelay) -> tuple[Client, Client, Client]:
    """The sender, one who knows such messages, one who does not; all in #a."""
    ann = relay.join("ann", *LABELS)
    bob = relay.join("bob", *CAPS, "server-time")
    carl = relay.join("carl", "message-tags", "server-time")
    for client in (ann, bob, carl):
        client.ask("JOIN #a")
    for client in (ann, bob, carl):
        client.sync()
    return ann, bob, carl


def test_a_message_of_several_lines(people: tuple[Client, Client, Client]) -> None:
    """ "When receiving a well-formed multiline message batch, implementations MUST collect the
    message content from each line in the batch and wait until the full batch has been received
    before processing the message." "Servers SHOULD maintain the line composition sent by the
    client" "Servers MUST only include the label tag on the opening BATCH command when replying to a
    client using echo-message." """
    ann, bob, carl = people
    start, *rest = batch("hello", "", "how is ", "+everyone?", tags="label=x;+tag=1")
    assert ann.ask(start, *rest[:-1]) == []
    assert bob.seen() == []
    opening, texts = seen_batch(ann.collect(rest[-1]))
    assert texts == ["hello", "", "how is ", "+everyone?"]
    assert opening.tags["label"] == "x"
    assert opening.tags["+tag"] == "1"
    assert opening.params[1:] == ("draft/multiline", "#a")
    heard, texts = seen_batch(bob.sync())
    assert texts == ["hello", "", "how is ", "+everyone?"]
    assert heard.nick == "ann"
    assert heard.tags["msgid"] == opening.tags["msgid"]
    assert heard.tags["+tag"] == "1"
    assert "label" not in heard.tags

    fallback = carl.sync()
    assert [short(message) for message in fallback] == [
        ":ann PRIVMSG #a hello",
        ":ann PRIVMSG #a :how is ",
        ":ann PRIVMSG #a everyone?",
    ]
    assert [message.tags.get("msgid") for message in fallback] == [heard.tags["msgid"], None, None]
    assert {message.tags["time"] for message in fallback} == {heard.tags["time"]}
    assert {message.tags["+tag"] for message in fallback} == {"1"}
    assert not any("draft/multiline-concat" in message.tags for message in fallback)


def test_notices_and_direct_messages(people: tuple[Client, Client, Client]) -> None:
    """ "This example is also valid if every instance of PRIVMSG is replaced with NOTICE." """
    ann, bob, _ = people
    lines = [line.replace("PRIVMSG", "NOTICE") for line in batch("one", "two", target="BOB")]
    assert [message.command for message in ann.collect(*lines)] == [
        "BATCH", "NOTICE", "NOTICE", "BATCH"
    ]  # fmt: skip
    assert bob.seen()[1:3] == [":ann NOTICE bob one", ":ann NOTICE bob two"]
    # To oneself: the echo, which may have a label, and the message.
    found = ann.collect(*batch("one", "two", target="ann", tags="label=x"))
    assert [message.command for message in found] == ["BATCH", "PRIVMSG", "PRIVMSG", "BATCH"] * 2
    assert [message.tags.get("label") for message in found if message.params[0][0] == "+"] in (
        ["x", None],
        [None, "x"],
    )


def test_without_echo_a_label_is_acknowledged(relay: RunningRelay) -> None:
    """ "Servers MUST respond with a labeled ACK message when a client sends a labeled command that
    normally produces no response." """
    ann, bob = relay.join("ann", *CAPS, "labeled-response"), relay.join("bob")
    (answer,) = ann.collect(*batch("one", "two", target="bob", tags="label=x"))
    assert (answer.command, answer.tags) == ("ACK", {"label": "x"})
    assert bob.seen() == [":ann PRIVMSG bob one", ":ann PRIVMSG bob two"]
    bob.ask("AWAY :gone")
    (answer,) = ann.collect(*batch("one", "two", target="bob", tags="label=y"))
    assert (answer.command, answer.tags) == ("301", {"label": "y"})


def test_an_echo_and_more_are_one_labelled_answer(people: tuple[Client, Client, Client]) -> None:
    """ "Start and end messages of one batch MAY refer to another batch. If they do, they both MUST
    have batch tag, and they MUST refer to the same batch." """
    ann, bob, _ = people
    bob.ask("AWAY :gone")
    found = ann.collect(*batch("one", "two", target="bob", tags="label=x"))
    assert [message.command for message in found] == [
        "BATCH", "BATCH", "PRIVMSG", "PRIVMSG", "BATCH", "301", "BATCH"
    ]  # fmt: skip
    outer, inner = found[0].params[0][1:], found[1].params[0][1:]
    assert found[0].tags["label"] == "x"
    assert [message.tags.get("batch") for message in found] == [
        None, outer, inner, inner, outer, outer, None
    ]  # fmt: skip


def test_blank_lines(people: tuple[Client, Client, Client]) -> None:
    """ "Servers MUST NOT reject blank lines other than in the following cases: Clients MUST NOT
    send blank lines with the draft/multiline-concat tag. Clients MUST NOT send messages consisting
    entirely of blank lines." """
    ann, bob, carl = people
    assert seen_batch(ann.collect(*batch("", "x", "")))[1] == ["", "x", ""]
    assert seen_batch(bob.sync())[1] == ["", "x", ""]
    assert carl.seen() == [":ann PRIVMSG #a x"]
    for lines in (batch("", ""), batch("a", "+", "b"), batch()):
        assert codes(ann.ask(*lines)) == [INVALID]
    assert bob.seen() == carl.seen() == []


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        (["@batch=1 PRIVMSG #b :x"], "FAIL BATCH MULTILINE_INVALID_TARGET #a #b"),
        (["@batch=1 PRIVMSG"], "FAIL BATCH MULTILINE_INVALID"),
        (["@batch=1 PRIVMSG #a"], INVALID),
        (["@batch=1 PRIVMSG #a :x", "@batch=1 NOTICE #a :y"], INVALID),
        (["@batch=1 TAGMSG #a"], INVALID),
        (["@batch=2 PRIVMSG #a :x"], INVALID),
        (["PRIVMSG #a :x"], INVALID),
        (["JOIN #b"], INVALID),
        (["NOSUCH"], INVALID),
        (["BATCH +2 draft/multiline #a"], INVALID),
        (["@batch=1 BATCH +2 draft/multiline #a"], INVALID),
        (["@batch=1 BATCH -1"], INVALID),
        (["BATCH -2"], INVALID),
        (["BATCH *"], "FAIL BATCH INVALID_REFTAG *"),
    ],
)
def test_what_may_not_be_in_a_batch(
    people: tuple[Client, Client, Client], lines: list[str], answer: str
) -> None:
    """ "Multiline batches MUST only contain one or more PRIVMSG lines, or one or more NOTICE lines.
    These lines MUST all have a target which matches the batch target." "Once a client has opened a
    batch, it MUST NOT send any messages that are not part of the batch, until it is closed"
    "Clients MUST NOT send nested batches" """
    ann, bob, carl = people
    opening = "@label=l BATCH +1 draft/multiline #a"
    *_, found = ann.collect(opening, *lines)
    if lines != ["BATCH *"]:
        assert codes([short(found)]) == [answer or INVALID]
        assert found.tags == {"label": "l"}
        # "all past and future messages in this batch will be ignored"
        reference = "2" if "+2" in lines[0] else "1"
        assert ann.ask(f"@batch={reference} PRIVMSG #a :x", f"BATCH -{reference}") == []
    else:
        assert codes([short(found)]) == [answer]
    assert bob.seen() == carl.seen() == []


def test_ping_and_pong_may_come_between(people: tuple[Client, Client, Client]) -> None:
    """A client answers PING by itself, whatever its user sends."""
    ann, bob, _ = people
    start, first, *rest = batch("one", "two")
    ann.send(start, first, "PONG x")
    ann.sync()  # a PING
    ann.send(*rest)
    assert seen_batch(ann.sync())[1] == seen_batch(bob.sync())[1] == ["one", "two"]


def test_to_those_of_a_rank(people: tuple[Client, Client, Client]) -> None:
    """STATUSMSG: "@#channel" is a target like any other."""
    ann, bob, carl = people
    ann.ask("MODE #a +o carl")
    bob.sync()
    carl.sync()
    opening, _ = seen_batch(ann.collect(*batch("one", "two", target="@#a")))
    assert opening.params[2] == "@#a"
    assert carl.seen() == [":ann PRIVMSG @#a one", ":ann PRIVMSG @#a two"]
    assert bob.seen() == []


def test_case_of_the_target(people: tuple[Client, Client, Client]) -> None:
    ann, bob, _ = people
    ann.collect("BATCH +1 draft/multiline #A", "@batch=1 privmsg #a x", "@batch=1 PRIVMSG #A y",
                "BATCH -1")  # fmt: skip
    assert seen_batch(bob.sync())[1] == ["x", "y"]


def test_max_lines(people: tuple[Client, Client, Client]) -> None:
    """ "All lines contribute towards the max-lines limit, including lines that use the
    draft/multiline-concat tag." "MULTILINE_MAX_LINES <limit>: max-lines limit exceeded" """
    ann, bob, carl = people
    most = ["x", *["+x"] * 20, *["x"] * 11]
    assert len(seen_batch(ann.collect(*batch(*most)))[1]) == 32
    assert len(seen_batch(bob.sync())[1]) == len(carl.sync()) == 32
    start, *rest = batch(*most, "+x", tags="label=l")
    (found,) = ann.collect(start, *rest[:-1])
    assert codes([short(found)]) == ["FAIL BATCH MULTILINE_MAX_LINES 32"]
    assert found.tags == {"label": "l"}
    assert ann.ask(rest[-1]) == bob.seen() == []


def test_max_bytes(people: tuple[Client, Client, Client]) -> None:
    """ "Each line feed used to join line messages contributes one byte towards the max-bytes
    limit." "Only the last parameter of PRIVMSG and NOTICE are counted toward max-bytes" """
    ann, bob, _ = people
    lines = ["é" * 200] * 9  # 9 times 400 bytes, 8 line feeds
    assert len(seen_batch(ann.collect(*batch(*lines, "x" * 400, "+" + "x" * 87)))[1]) == 11
    bob.sync()
    for more in ("+" + "x" * 88, "x" * 87):
        assert codes(ann.ask(*batch(*lines, "x" * 400, more))) == [
            "FAIL BATCH MULTILINE_MAX_BYTES 4096"
        ]
    assert bob.seen() == []


def test_what_cannot_be_opened(relay: RunningRelay) -> None:
    """ "INVALID_REFTAG <reference-tag>: the provided reference tag contains disallowed characters,
    all past and future messages in this batch will be ignored." "UNKNOWN_TYPE <reference-tag>
    <type>: the batch type is not recognized by the server" """
    ann, bob = together(relay, "ann", "bob")
    ann.request(*CAPS)
    for start, answer in (
        ("BATCH +a_b draft/multiline #a", "FAIL BATCH INVALID_REFTAG a_b"),
        ("BATCH + draft/multiline #a", "FAIL BATCH INVALID_REFTAG *"),
        ("BATCH +1 chathistory #a", "FAIL BATCH UNKNOWN_TYPE 1 chathistory"),
        ("BATCH +1 DRAFT/multiline #a", "FAIL BATCH UNKNOWN_TYPE 1 DRAFT/multiline"),
        ("BATCH +1 draft/multiline", INVALID),
        ("BATCH +1", "461 ann BATCH"),
        ("BATCH", "461 ann BATCH"),
        ("BATCH -1", INVALID),
        ("@batch=0 PRIVMSG #a :x", INVALID),
    ):
        assert codes(ann.ask(start)) == [answer], start
        if start.startswith("BATCH +") and start[7] != " ":
            reference = start[7:].partition(" ")[0]
            assert ann.ask(f"@batch={reference} PRIVMSG #a :x", f"BATCH -{reference}") == []
    assert bob.seen() == []


@pytest.mark.parametrize("missing", ["batch", "draft/multiline"])
def test_it_needs_both_capabilities(relay: RunningRelay, missing: str) -> None:
    """ "This specification depends on the batch capability which MUST be negotiated to use
    multiline messages." """
    ann, bob = together(relay, "ann", "bob")
    ann.request(*(cap for cap in CAPS if cap != missing))
    assert codes(ann.ask(*batch("x"))) == ["FAIL BATCH UNKNOWN_TYPE 123 draft/multiline"]
    assert bob.seen() == []
    # Who has not opened one may call a tag what they like.
    assert ann.ask("@batch=7 PRIVMSG #a :x") == []
    assert bob.seen() == [":ann PRIVMSG #a x"]


def test_a_batch_left_open(start_relay: StartRelay, clock: FakeClock) -> None:
    """ "TIMEOUT <reference-tag>: the batch was left open for too long, all past and future messages
    in this batch will be ignored." """
    relay = start_relay(clock=clock, limits={"batch_timeout_s": 20.0})
    ann, bob = relay.join("ann", *LABELS), relay.join("bob")
    start, line, end = batch("x", target="bob", tags="label=l")
    ann.ask(start, line)
    clock.now += 21
    relay.wake()
    found = ann.expect("FAIL")
    assert found.params[:3] == ("BATCH", "TIMEOUT", "123")
    assert found.tags == {"label": "l"}
    assert ann.ask(line, end) == bob.seen() == []
    # One that is complete has no timer any more.
    ann.ask(start, line, end)
    clock.now += 21
    relay.wake()
    assert ann.seen() == []
    assert bob.seen() == [":ann PRIVMSG bob x"]
    # Nor has one whose client has gone.
    ann.ask(start)
    ann.quit()
    clock.now += 21
    relay.wake()
    assert bob.seen() == []


def test_what_the_state_refuses(people: tuple[Client, Client, Client]) -> None:
    """The numerics of a message; none for NOTICE."""
    ann, _, _ = people
    found = ann.collect(*batch("x", "y", target="#none", tags="label=l"))
    assert [(short(message), message.tags) for message in found] == [
        ("403 ann #none :No such channel", {"label": "l"})
    ]
    assert ann.ask(*batch("x", "y", target="nobody")) == ["401 ann nobody :No such nick/channel"]
    lines = batch("x", "y", target="nobody")
    assert ann.ask(*(line.replace("PRIVMSG", "NOTICE") for line in lines)) == []


def test_a_batch_passes_the_flood_limit(start_relay: StartRelay, clock: FakeClock) -> None:
    """ "keep in mind that clients might send an entire batched multiline message all at once": its
    lines take an eighth of a command each."""
    relay = start_relay(clock=clock, limits={"commands_per_s": 5.0, "command_burst": 10})
    bob = relay.join("bob", *CAPS)
    ann = relay.join("ann", *CAPS)
    clock.now += 10
    ann.send(*batch(*["x"] * 32, target="bob"))  # 1 + 33/8 commands
    bob.expect("BATCH")
    bob.sync()
    ann.send(*["PRIVMSG bob :x"] * 6)
    for _ in range(4):
        bob.expect("PRIVMSG")
    clock.now += 1
    relay.wake()
    for _ in range(2):
        bob.expect("PRIVMSG")


def test_history_has_it_as_it_was_sent(relay: RunningRelay) -> None:
    """ "Start and end messages of one batch MAY refer to another batch. (…) This means that one
    batch is nested to another." """
    ann = relay.account("ann", *LABELS, "draft/chathistory")
    bob = relay.account("bob", "batch", "message-tags", "draft/chathistory")
    ann.ask("JOIN #a")
    bob.ask("JOIN #a")
    ann.sync()
    said, texts = seen_batch(ann.collect(*batch("hello", "", "how is ", "+all?", tags="+tag=1")))
    start, *inner, end = ann.collect("CHATHISTORY LATEST #a * 10")
    outer = start.params[0][1:]
    assert (start.params[1], end.params[0]) == ("chathistory", f"-{outer}")
    assert inner[0].tags["batch"] == inner[-1].tags["batch"] == outer
    opening, replayed = seen_batch(inner)
    assert replayed == texts
    assert {key: opening.tags[key] for key in ("msgid", "+tag")} == {
        "msgid": said.tags["msgid"],
        "+tag": "1",
    }
    bob.sync()
    found = bob.collect("CHATHISTORY LATEST #a * 10")[1:-1]
    assert [message.params[1] for message in found] == ["hello", "how is ", "all?"]
    assert [message.tags.get("msgid") for message in found] == [said.tags["msgid"], None, None]


def test_no_ctcp_in_a_further_line(people: tuple[Client, Client, Client]) -> None:
    """Who knows no such messages gets each line by itself, and would answer a VERSION."""
    ann, _, carl = people
    ann.ask("MODE #a +C")
    carl.sync()
    for text in ("\x01VERSION\x01", "+\x01VERSION\x01", "\x01ACTIONS x\x01", "\x01"):
        assert ann.ask(*batch("hello", text)) == ["404 ann #a :Cannot send to channel (+C)"]
    assert ann.ask(*batch("hello", "\x01ACTION waves\x01"))[0].startswith(":ann BATCH")
    assert len(carl.seen()) == 2
