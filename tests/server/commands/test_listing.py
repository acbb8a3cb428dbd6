"""LIST: the channels of the relay."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from securechat.net.connection import Connection
from securechat.server.context import PIECE_LINES, PIECE_STEPS
from securechat.server.state import Channel
from tests.server.commands.operators import as_operator, with_operator
from tests.server.commands.test_channels import together
from tests.server.conftest import StartRelay
from tests.server.relay_harness import WALL_S, Client, RunningRelay, short


def listed(client: Client, line: str) -> list[str]:
    """Return the names of the channels in the answer to a LIST."""
    start, *found, end = client.ask(line)
    assert start.split(" ")[0] == "321"
    assert end.split(" ")[0] == "323"
    return [entry.split(" ")[2] for entry in found]


def test_list(relay: RunningRelay) -> None:
    """ "the server MAY send one RPL_LISTSTART numeric, MUST send back zero or more RPL_LIST
    numerics, and MUST send back one RPL_LISTEND numeric." """
    ann, _bob = together(relay, "ann", "bob")
    ann.ask("TOPIC #a :tea", "JOIN #b", "MODE #b +s")
    carl = relay.join("carl")
    start, end = "321 {} Channel :Users  Name", "323 {} :End of /LIST"
    assert carl.ask("LIST") == [start.format("carl"), "322 carl #a 2 tea", end.format("carl")]
    assert carl.ask("LIST #b,#A,#none")[1:-1] == ["322 carl #a 2 tea"]
    assert carl.ask("LIST #b")[1:-1] == []
    ann.sync()
    assert ann.ask("LIST #b")[1:-1] == ["322 ann #b 1 :"]


def test_nothing_to_list(relay: RunningRelay) -> None:
    ann = relay.join("ann")
    assert listed(ann, "LIST") == []
    assert listed(ann, "LIST #none") == []
    assert listed(ann, "LIST :") == []


def test_masks(relay: RunningRelay) -> None:
    """ "M: Searching based on a mask." "N: Searching based on a non-matching !mask." """
    ann = relay.join("ann")
    ann.ask("JOIN #tea,#team,#coffee")
    for condition, found in {
        "*ea": ["#tea"],
        "#tea*": ["#tea", "#team"],
        "#T?A": ["#tea"],
        "*milk*": [],
        "*ea,*ee": ["#tea", "#coffee"],
        "#tea,*ee": ["#tea", "#coffee"],
        "#coffee,#tea,#COFFEE": ["#coffee", "#tea"],
        "!*ea*": ["#coffee"],
        "!*ea": ["#team", "#coffee"],
        "!*ea*,!#c*": [],
        "#t*,!*m": ["#tea"],
        "#tea,#team,!*m": ["#tea"],
        "*": ["#tea", "#team", "#coffee"],
        "nonsense": [],
    }.items():
        assert listed(ann, f"LIST {condition}") == found, condition


def test_numbers_of_people(relay: RunningRelay) -> None:
    """ "U: (…) the "<val" and ">val" modifiers to search for a channel that has less or more than
    val users, respectively." """
    ann, bob = together(relay, "ann", "bob")
    bob.ask("JOIN #b")
    for condition, found in {
        ">0": ["#a", "#b"],
        "<1": [],
        ">1": ["#a"],
        "<2": ["#b"],
        ">0,<2": ["#b"],
        "<100": ["#a", "#b"],
        "#b >0": ["#b"],
        "#b >1": [],
        "#a,#b >1": ["#a"],
        "<2,!#b": [],
        ">x": [],
    }.items():
        assert listed(ann, f"LIST {condition}") == found, condition


def test_times(start_relay: StartRelay) -> None:
    """ "C: (…) to search for a channel that was created either less than val minutes ago, or more
    than val minutes ago, respectively"; "T: Searching based on topic set time" alike."""
    now = [WALL_S]
    ann = start_relay(wall_clock=lambda: now[0]).join("ann")
    ann.ask("JOIN #old,#bare", "TOPIC #old :first")
    now[0] += 120
    ann.ask("JOIN #new", "TOPIC #new :second")
    now[0] += 60
    for condition, found in {
        "C>2": ["#old", "#bare"],
        "C<2": ["#new"],
        "c<2": ["#new"],
        "C<0": [],
        "C>0": ["#old", "#bare", "#new"],
        "C<10": ["#old", "#bare", "#new"],
        "C>2,!#b*": ["#old"],
        "T>2": ["#old"],
        "T<2": ["#new"],
        "t<2": ["#new"],
        "T<0": [],
        "T>0": ["#old", "#new"],
        "T<10": ["#old", "#new"],
        "T<10,C>2": ["#old"],
    }.items():
        assert listed(ann, f"LIST {condition}") == found, condition


def test_secret_channels(start_relay: StartRelay) -> None:
    """ "all visible channels (those not hidden by the secret channel mode rules)" """
    relay = with_operator(start_relay)
    ann, root = relay.join("ann"), relay.join("root")
    ann.ask("JOIN #open,#hidden", "MODE #hidden +s")
    assert listed(root, "LIST") == ["#open"]
    assert listed(root, "LIST #hidden") == []
    assert listed(root, "LIST <9") == ["#open"]
    assert listed(ann, "LIST") == ["#open", "#hidden"]
    as_operator(root)
    assert listed(root, "LIST") == ["#open", "#hidden"]


# ---- long answers ----


def fill(relay: RunningRelay, channels: int) -> None:
    """Make so many channels, each with a long topic."""
    services = relay.relay.services
    with services.lock:
        for number in range(channels):
            channel = Channel(f"uid{number}", f"#room{number}", 1, topic="x" * 300)
            services.network.channels[channel.name] = channel


def test_a_list_of_thousands_of_channels(start_relay: StartRelay) -> None:
    """SAFELIST: "a client may request a LIST without being disconnected due to the large amount of
    data", whatever may wait for one client."""
    relay = start_relay(limits={"sendq_bytes": 65_536})
    fill(relay, 10_000)
    ann, bob = relay.join("ann"), relay.join("bob")
    ann.send("LIST", "PING after")
    bob.ask("PRIVMSG ann :meanwhile")  # while ann does not read
    assert bob.ask("ISON ann") == ["303 bob ann"]
    found = ann.sync()
    lists = [message.params[1] for message in found if message.command == "322"]
    assert lists == [f"#room{number}" for number in range(10_000)]
    others = [message.command for message in found if message.command != "322"]
    others.remove("PRIVMSG")  # somewhere, as it came
    assert others == ["321", "323", "PONG"]


def test_a_long_answer_with_a_label(relay: RunningRelay) -> None:
    """labeled-response: "a batch MUST be used to group them into a single logical response" """
    fill(relay, 1_000)
    ann = relay.join("ann", "labeled-response", "batch")
    start, *found, end = ann.collect("@label=x LIST")
    assert start.tags == {"label": "x"}
    reference = start.params[0][1:]
    assert start.params == (f"+{reference}", "labeled-response")
    assert [message.tags for message in found] == [{"batch": reference}] * 1_002
    assert short(end) == f"BATCH -{reference}"


def test_a_search_in_vain_lets_others_have_their_turn(relay: RunningRelay) -> None:
    fill(relay, 3 * PIECE_STEPS)
    ann = relay.join("ann")
    assert listed(ann, "LIST nothing") == []


def test_channels_that_end_meanwhile_are_not_listed(
    relay: RunningRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(relay, 2 * PIECE_LINES)
    channels = relay.relay.services.network.channels
    when_sent = Connection.when_sent

    def end_one(connection: Connection, callback: Callable[[], None]) -> None:
        channels.pop("#room200", None)  # between two pieces, under the lock
        when_sent(connection, callback)

    ann = relay.join("ann")
    monkeypatch.setattr(Connection, "when_sent", end_one)
    found = listed(ann, "LIST")
    assert len(found) == 2 * PIECE_LINES - 1
    assert "#room200" not in found


def test_who_leaves_in_the_middle_of_an_answer(start_relay: StartRelay) -> None:
    relay = start_relay(limits={"sendq_bytes": 65_536})
    fill(relay, 10_000)
    ann, bob = relay.join("ann"), relay.join("bob")
    ann.send("LIST")
    ann.expect("322")
    ann.vanish()
    while bob.ask("ISON ann") != ["303 bob :"]:
        pass


def test_no_more_conditions_than_are_fast(relay: RunningRelay) -> None:
    """Every channel is compared with all of them, while the others wait."""
    ann = relay.join("ann")
    ann.ask("JOIN #tea")
    few, many = (
        ",".join(["*a", *(f"{n}*" for n in range(15))]),
        ",".join(f"*{n}" for n in range(17)),
    )
    assert listed(ann, f"LIST {few}") == ["#tea"]
    assert ann.ask(f"LIST {many}") == [f"407 ann {many} :Too many targets"]
    assert ann.ask(f"LIST {many[:-4]} >1,<9")[-1].startswith("407")
