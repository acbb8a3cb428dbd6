"""MODE, of channels and of oneself."""

from __future__ import annotations

import pytest

from tests.server.commands.test_channels import together
from tests.server.conftest import StartRelay
from tests.server.relay_harness import RunningRelay, commands


def test_the_modes_of_a_channel(relay: RunningRelay) -> None:
    """ "If <modestring> is not given, the RPL_CHANNELMODEIS numeric is returned. Servers MAY choose
    to hide sensitive information such as channel keys (…) SHOULD also return the RPL_CREATIONTIME
    numeric following RPL_CHANNELMODEIS." """
    (ann,) = together(relay, "ann")
    bob = relay.join("bob")
    created = "329 {} #a 1700000000"
    assert ann.ask("MODE #A") == ["324 ann #a +nt", created.format("ann")]
    assert ann.ask("MODE #a +klim-t secret 5") == [":ann MODE #a +klim-t secret 5"]
    assert ann.ask("MODE #a") == ["324 ann #a +iklmn secret 5", created.format("ann")]
    assert bob.ask("MODE #a") == ["324 bob #a +iklmn * 5", created.format("bob")]


def test_changes_are_seen_by_all_members(relay: RunningRelay) -> None:
    """ "a MODE command is sent to all members of the channel containing the mode changes." """
    ann, bob = together(relay, "ann", "bob")
    wanted = [":ann MODE #a +vm-n+b bob evil!*@*"]
    assert ann.ask("MODE #a +vm-n+b BOB evil") == wanted
    assert bob.seen() == wanted
    assert ann.ask("MODE #a +vm-n+b bob EVIL") == []
    assert ann.ask("MODE #a i") == [":ann MODE #a +i"]


def test_only_operators(relay: RunningRelay) -> None:
    """ "If a user does not have appropriate privileges to change modes on the target channel, the
    server MUST NOT process the message, and ERR_CHANOPRIVSNEEDED numeric is returned." """
    ann, bob = together(relay, "ann", "bob")
    carl = relay.join("carl")
    ann.ask("MODE #a +v bob")
    bob.sync()
    for client, nick in ((bob, "bob"), (carl, "carl")):
        assert client.ask("MODE #a +o bob") == [f"482 {nick} #a :You're not channel operator"]
        assert client.ask("MODE #a -m+b x") == [f"482 {nick} #a :You're not channel operator"]
        assert client.ask("MODE #none") == [f"403 {nick} #none :No such channel"]
    ann.ask("MODE #a +s")
    assert carl.ask("MODE #a") == ["442 carl #a :You're not on that channel"]


def test_ranks(relay: RunningRelay) -> None:
    """ "operator", "voice"; ERR_NOSUCHNICK and ERR_USERNOTINCHANNEL for those who are not here."""
    ann, bob = together(relay, "ann", "bob")
    relay.join("carl")
    assert ann.ask("MODE #a +ovo-v bob carl nobody bob") == [
        ":ann MODE #a +o bob",
        "441 ann carl #a :They aren't on that channel",
        "401 ann nobody :No such nick/channel",
    ]
    bob.sync()
    assert bob.ask("MODE #a -o ann") == [":bob MODE #a -o ann"]
    assert ann.seen() == [":bob MODE #a -o ann"]
    assert commands(ann.ask("MODE #a +o ann")) == ["482"]
    assert bob.ask("MODE #a -o bob") == [":bob MODE #a -o bob"]


def test_the_first_of_a_channel_may_not_make_founders(relay: RunningRelay) -> None:
    """ "the first client who joins a normal channel is made a channel operator"; founder and admin
    are for founders to give."""
    ann, _bob = together(relay, "ann", "bob")
    assert ann.ask("MODE #a +qa bob bob") == ["482 ann #a :You're not channel operator"]
    assert ann.ask("MODE #a +ohv bob bob bob") == [":ann MODE #a +ohv bob bob bob"]
    assert ann.ask("NAMES #a")[0] == "353 ann = #a :@ann @bob"


def test_half_ops(relay: RunningRelay) -> None:
    """Voice, lists and topic are theirs; flags and higher ranks are not. Anybody may step down."""
    ann, bob, carl = together(relay, "ann", "bob", "carl")
    ann.ask("MODE #a +h bob")
    bob.sync()
    assert bob.ask("MODE #a +vb carl evil") == [":bob MODE #a +vb carl evil!*@*"]
    assert bob.ask("TOPIC #a :x") == [":bob TOPIC #a x"]
    needed = "482 bob #a :You're not channel operator"
    assert bob.ask("MODE #a +m-n+k x", "MODE #a +h carl", "MODE #a +o bob") == [needed] * 3
    assert bob.ask("MODE #a -o ann") == [needed]
    carl.sync()
    assert carl.ask("MODE #a -v carl") == [":carl MODE #a -v carl"]
    bob.sync()
    assert bob.ask("MODE #a -h BOB") == [":bob MODE #a -h bob"]
    assert bob.ask("MODE #a +v bob") == [needed]


def test_unknown_letters(relay: RunningRelay) -> None:
    """ERR_UNKNOWNMODE: "a mode character used by a client is not recognized by the server"; the
    others are applied."""
    (ann,) = together(relay, "ann")
    assert ann.ask("MODE #a +mXé-Y") == [
        "472 ann X :is unknown mode char to me",
        "472 ann é :is unknown mode char to me",
        "472 ann Y :is unknown mode char to me",
        ":ann MODE #a +m",
    ]
    assert commands(ann.ask("MODE #a :+ :", "MODE #a :", "MODE #a +-+")) == ["472", "472"]


@pytest.mark.parametrize(
    ("modes", "answer"),
    [
        ("+o", "696 ann #a o *"),
        ("+k", "696 ann #a k *"),
        ("+k :a b", "696 ann #a k *"),
        ("+k ::x", "696 ann #a k *"),
        ("+l", "696 ann #a l *"),
        ("+l 0", "696 ann #a l 0"),
        ("+l -1", "696 ann #a l -1"),
        ("+l many", "696 ann #a l many"),
        ("+l ²", "696 ann #a l ²"),
        ("+l 1000001", "696 ann #a l 1000001"),
        ("+l 99999999999999999999", "696 ann #a l 99999999999999999999"),
        ("+b " + "x" * 130, "696 ann #a b *"),
        ("+b :a b", "696 ann #a b *"),
        ("+k a,b", "525 ann #a"),
        ("+k " + "k" * 33, "525 ann #a"),
    ],
)
def test_bad_parameters(relay: RunningRelay, modes: str, answer: str) -> None:
    """ERR_INVALIDMODEPARAM: "there was a problem with a mode parameter"; ERR_INVALIDKEY."""
    (ann,) = together(relay, "ann")
    (found,) = ann.ask(f"MODE #a {modes}")
    assert found.startswith(f"{answer} :")
    assert ann.ask("MODE #a")[0] == "324 ann #a +nt"


def test_limit_and_key_change(relay: RunningRelay) -> None:
    (ann,) = together(relay, "ann")
    assert ann.ask("MODE #a +l 007") == [":ann MODE #a +l 7"]
    assert ann.ask("MODE #a +l 7") == []
    assert ann.ask("MODE #a -l") == [":ann MODE #a -l"]
    assert ann.ask("MODE #a -l") == []
    assert ann.ask("MODE #a +k one", "MODE #a +k two") == [
        ":ann MODE #a +k one",
        ":ann MODE #a +k two",
    ]
    assert ann.ask("MODE #a -k wrong") == [":ann MODE #a -k *"]
    assert ann.ask("MODE #a -k") == []


def test_the_ban_list(relay: RunningRelay) -> None:
    """ "If a type A mode has been sent without an argument, the contents of the list MUST be sent
    to the user" RPL_BANLIST: "<client> <channel> <mask> [<who> <set-ts>]" """
    ann, bob = together(relay, "ann", "bob")
    host = relay.session("ann").host
    ann.ask("MODE #a +bbb x y!z @w")
    bob.sync()
    end = "368 {} #a :End of channel ban list"
    by = f"ann!~ann@{host} 1700000000"
    for line in ("MODE #a b", "MODE #a +b", "MODE #a -b", "MODE #a +bbb"):
        assert bob.ask(line) == [
            f"367 bob #a x!*@* {by}",
            f"367 bob #a y!z@* {by}",
            f"367 bob #a *!*@w {by}",
            end.format("bob"),
        ]
    assert ann.ask("MODE #a -bb X!*@* none") == [":ann MODE #a -b x!*@*"]
    assert len(ann.ask("MODE #a b")) == 3


@pytest.mark.parametrize(
    ("letter", "entry", "end", "name"),
    [
        ("b", "367", "368", "ban"),
        ("e", "348", "349", "exception"),
        ("I", "346", "347", "invite exception"),
    ],
)
def test_the_lists(relay: RunningRelay, letter: str, entry: str, end: str, name: str) -> None:
    """RPL_EXCEPTLIST and RPL_INVEXLIST: "<client> <channel> <mask>" """
    ann, bob = together(relay, "ann", "bob")
    host = relay.session("ann").host
    wanted = [f":ann MODE #a +{letter * 3} bob!*@* a:carl m:dora!*@*"]
    assert ann.ask(f"MODE #a +{letter * 3} bob a:carl m:dora") == wanted
    bob.sync()
    by = f"ann!~ann@{host} 1700000000"
    assert bob.ask(f"MODE #a +{letter}") == [
        f"{entry} bob #a bob!*@* {by}",
        f"{entry} bob #a a:carl {by}",
        f"{entry} bob #a m:dora!*@* {by}",
        f"{end} bob #a :End of channel {name} list",
    ]
    assert ann.ask(f"MODE #a -{letter} A:CARL") == [f":ann MODE #a -{letter} a:carl"]


def test_a_full_list(start_relay: StartRelay) -> None:
    """ERR_BANLISTFULL: "the channel's list is full"; MAXLIST tells how many there may be "in total"
    "that all of the modes in <modes>, combined, may set on a channel"."""
    relay = start_relay(limits={"list_entries": 2})
    (ann,) = together(relay, "ann")
    assert ann.ask("MODE #a +bbb x y z") == [
        ":ann MODE #a +bb x!*@* y!*@*",
        "478 ann #a b :Channel list is full",
    ]
    assert ann.ask("MODE #a +e x") == ["478 ann #a e :Channel list is full"]
    assert ann.ask("MODE #a +b x") == []
    assert ann.ask("MODE #a -b x", "MODE #a +b z") == [
        ":ann MODE #a -b x!*@*",
        ":ann MODE #a +b z!*@*",
    ]


def test_more_modes_than_allowed_in_one_line(relay: RunningRelay) -> None:
    """MODES: "the maximum number of variable modes" """
    (ann,) = together(relay, "ann")
    masks = " ".join(f"m{number}" for number in range(14))
    ann.ask(f"MODE #a +{'b' * 14} {masks}")
    assert len(ann.ask("MODE #a b")) == 12 + 1


def test_changes_that_do_not_fit_one_line_are_told_in_full(relay: RunningRelay) -> None:
    """Masks are completed, and the source is put before them: what members see must not be cut."""
    ann, bob = together(relay, "ann", "bob")
    masks = [f"{letter * 37}" for letter in "abcdefghijkl"]
    ann.send(f"MODE #a +{'b' * 12} {' '.join(masks)}")
    ann.sync()
    found = bob.sync()
    assert all(message.command == "MODE" for message in found)
    told = [mask for message in found for mask in message.params[2:]]
    assert told == [f"{mask}!*@*" for mask in masks]
    assert all(len(m.params[1]) - 1 == len(m.params) - 2 for m in found)
    assert len(ann.ask("MODE #a b")) == 13


# ---- of oneself ----


def test_user_modes(relay: RunningRelay) -> None:
    """ "If <modestring> is not given, the RPL_UMODEIS numeric is sent back" "a MODE message will be
    sent to the user containing the changed modes." """
    ann = relay.join("ann")
    assert ann.ask("MODE ann") == ["221 ann +"]
    assert ann.ask("MODE ANN +i") == [":ann MODE ann +i"]
    assert ann.ask("MODE ann +i") == []
    assert ann.ask("MODE ann") == ["221 ann +i"]
    assert ann.ask("MODE ann -i") == [":ann MODE ann -i"]
    assert ann.ask("MODE ann +o") == []
    assert ann.ask("MODE ann :") == []


def test_user_mode_errors(relay: RunningRelay) -> None:
    """ "If one or more modes sent are not implemented on the server, the server MUST apply the
    modes that are implemented, and then send the ERR_UMODEUNKNOWNFLAG in reply along with the MODE
    message." "ERR_USERSDONTMATCH", "ERR_NOSUCHNICK" """
    ann = relay.join("ann")
    relay.join("bob")
    assert ann.ask("MODE ann +iXY") == [
        ":ann MODE ann +i",
        "501 ann :Unknown MODE flag",
    ]
    assert (
        ann.ask("MODE bob", "MODE bob +i")
        == ["502 ann :Can't view or change modes of other users"] * 2
    )
    assert ann.ask("MODE nobody +i") == ["401 ann nobody :No such nick/channel"]
    assert ann.ask("MODE") == ["461 ann MODE :Not enough parameters"]
