"""JOIN, PART, TOPIC, NAMES, KICK, INVITE."""

from __future__ import annotations

import pytest

from securechat.server.context import PIECE_LINES
from securechat.server.session import ANSWER_BYTES
from tests.server.conftest import StartRelay
from tests.server.relay_harness import Client, RunningRelay, commands, short


def together(relay: RunningRelay, *nicks: str, room: str = "#a") -> list[Client]:
    """Return clients in one room; the first is its operator."""
    clients = [relay.join(nick) for nick in nicks]
    for client in clients:
        client.ask(f"JOIN {room}")
    for client in clients:
        client.sync()
    return clients


# ---- JOIN ----


def test_join(relay: RunningRelay) -> None:
    """ "the server MUST send, in this order: A JOIN message (…); the channel's topic (with
    RPL_TOPIC and RPL_TOPICWHOTIME), and no message if the channel does not have a topic; a list of
    users (with one or more RPL_NAMREPLY numerics followed by a single RPL_ENDOFNAMES numeric)" """
    ann, bob = relay.join("ann"), relay.join("bob")
    assert ann.ask("JOIN #a") == [
        ":ann JOIN #a",
        "353 ann = #a @ann",
        "366 ann #a :End of /NAMES list",
    ]
    ann.ask("TOPIC #a :tea")
    host = relay.session("ann").host
    assert bob.ask("JOIN #A") == [
        ":bob JOIN #a",
        "332 bob #a tea",
        f"333 bob #a ann!~ann@{host} 1700000000",
        "353 bob = #a :@ann bob",
        "366 bob #a :End of /NAMES list",
    ]
    (joined,) = ann.sync()
    assert joined.source == f"bob!~bob@{host}"
    assert bob.ask("JOIN #a") == []
    assert ann.seen() == []


def test_join_several_with_keys(relay: RunningRelay) -> None:
    """ "with the first <key> being used for the first <channel>" "SHOULD distribute these
    multiple-channel JOIN messages as a series of messages with a single channel name on each." """
    ann, bob = relay.join("ann"), relay.join("bob")
    ann.ask("JOIN #a,#b,#c", "MODE #a +k ka", "MODE #b +k kb")
    assert [line for line in bob.ask("JOIN #b,#a,,#c kb,ka") if "JOIN" in line] == [
        ":bob JOIN #b",
        ":bob JOIN #a",
        ":bob JOIN #c",
    ]
    bob.ask("JOIN 0")
    assert bob.ask("JOIN #b,#a ka") == [
        "475 bob #b :Cannot join channel (+k)",
        "475 bob #a :Cannot join channel (+k)",
    ]


@pytest.mark.parametrize(
    "name",
    ["a", "&a", "#", "#a:b", "#a\x07b", "#" + "x" * 64, "#" + "é" * 32, "0x", "*", "#a\x9bb"],
)
def test_bad_channel_names(relay: RunningRelay, name: str) -> None:
    """ERR_NOSUCHCHANNEL: "Indicates that no channel can be found for the supplied channel name",
    ERR_BADCHANMASK: "similar to, but stronger than, ERR_NOSUCHCHANNEL" """
    malformed = name[0] == "#" and len(name.encode()) <= 64
    wanted = (
        f"476 ann {name} :Bad Channel Mask" if malformed else f"403 ann {name} :No such channel"
    )
    assert relay.join("ann").ask(f"JOIN {name}") == [wanted]


@pytest.mark.parametrize("name", ["##", "#é", "#" + "x" * 63, "#a!b@c*", "#日本語"])
def test_good_channel_names(relay: RunningRelay, name: str) -> None:
    assert relay.join("ann").ask(f"JOIN {name}")[0] == f":ann JOIN {name}"


def test_join_zero(relay: RunningRelay) -> None:
    """ "The server will process this command as though the client had sent a PART command for each
    channel they are a member of." """
    ann, bob = together(relay, "ann", "bob")
    ann.ask("JOIN #b")
    assert ann.ask("JOIN 0") == [":ann PART #a", ":ann PART #b"]
    assert bob.seen() == [":ann PART #a"]
    assert ann.ask("JOIN 0") == []
    assert ann.ask("JOIN") == ["461 ann JOIN :Not enough parameters"]


def test_too_many_channels(start_relay: StartRelay) -> None:
    """ "If the client cannot join this channel because they would be over their limit, they will
    receive an ERR_TOOMANYCHANNELS reply and the command will fail." """
    ann = start_relay(limits={"channels_per_user": 2}).join("ann")
    assert ann.ask("JOIN #a,#b,#c")[-1] == "405 ann #c :You have joined too many channels"
    assert ann.ask("JOIN #a", "PART #a", "JOIN #c")[-1].startswith("366 ann #c ")


def test_an_invitation_opens_every_lock_once(relay: RunningRelay) -> None:
    """ERR_INVITEONLYCHAN, ERR_CHANNELISFULL, ERR_BADCHANNELKEY, ERR_BANNEDFROMCHAN,
    ERR_NEEDREGGEDNICK."""
    ann, bob = together(relay, "ann")[0], relay.join("bob")
    for modes, undo, answer in (
        ("+i", "-i", "473 bob #a :Cannot join channel (+i)"),
        ("+l 1", "-l", "471 bob #a :Cannot join channel (+l)"),
        ("+k x", "-k x", "475 bob #a :Cannot join channel (+k)"),
        ("+b b?b", "-b b?b", "474 bob #a :Cannot join channel (+b)"),
        ("+R", "-R", "477 bob #a :Cannot join channel (+R): log in to an account first"),
    ):
        ann.ask(f"MODE #a {modes}")
        assert bob.ask("JOIN #a") == [answer]
        ann.ask("INVITE bob #a")
        bob.sync()
        assert bob.ask("JOIN #a")[0] == ":bob JOIN #a"
        assert bob.ask("PART #a") == [":bob PART #a"]
        assert bob.ask("JOIN #a") == [answer]  # an invitation is for one time
        ann.ask(f"MODE #a {undo}")


def test_an_invitation_by_a_member_without_a_rank_opens_nothing(relay: RunningRelay) -> None:
    """Else anybody inside could undo a ban."""
    ann, bob = together(relay, "ann", "bob")
    carl = relay.join("carl")
    ann.ask("MODE #a +b carl")
    bob.sync()
    assert bob.ask("INVITE carl #a") == ["341 bob carl #a"]
    assert carl.seen() == [":bob INVITE carl #a"]
    assert commands(carl.ask("JOIN #a")) == ["474"]
    ann.ask("MODE #a +h bob")
    bob.ask("INVITE carl #a")
    carl.sync()
    assert commands(carl.ask("JOIN #a"))[0] == "JOIN"


def test_registered_only(relay: RunningRelay) -> None:
    """ERR_NEEDREGGEDNICK"""
    (ann,) = together(relay, "ann")
    ann.ask("MODE #a +R")
    assert commands(relay.join("bob").ask("JOIN #a")) == ["477"]
    assert commands(relay.account("carl").ask("JOIN #a"))[0] == "JOIN"


def test_bans_by_host_and_user(relay: RunningRelay) -> None:
    """ "If a client's mask matches any of the entries in this list, they will not be able to join
    the channel." """
    ann, bob = together(relay, "ann")[0], relay.join("bob")
    host = relay.session("bob").host
    for mask in (f"*!*@{host}", "*!~bob@*", "BOB", "bob!*", f"*@{host.upper()}", "b*!?bob@*.ip"):
        ann.ask(f"MODE #a +b {mask}")
        assert commands(bob.ask("JOIN #a")) == ["474"]
        ann.ask(f"MODE #a -b {mask}")
    assert commands(bob.ask("JOIN #a"))[0] == "JOIN"


def test_an_empty_channel_is_forgotten(relay: RunningRelay) -> None:
    """ "the channel ceases to exist when the last client leaves it." """
    ann, bob = together(relay, "ann", "bob")
    ann.ask("TOPIC #a :x", "MODE #a +s", "PART #a")
    bob.quit()
    assert ann.ask("TOPIC #a") == ["403 ann #a :No such channel"]
    assert ann.ask("JOIN #A", "MODE #a")[0:4] == [
        ":ann JOIN #A",
        "353 ann = #A @ann",
        "366 ann #A :End of /NAMES list",
        "324 ann #A +nt",
    ]


def test_many_names_come_in_several_lines(relay: RunningRelay) -> None:
    """ "one or more RPL_NAMREPLY numerics" none of which is cut."""
    people = [f"{'n' * 25}{number:02}" for number in range(20)]
    clients = together(relay, *people)
    found = clients[0].collect("NAMES #a")
    assert commands(map(short, found)) == ["353", "353", "366"]
    names = " ".join(message.params[3] for message in found[:-1]).split(" ")
    assert names == [f"@{people[0]}", *people[1:]]
    assert all(len(line) <= 510 for line in clients[0].lines)


# ---- PART ----


def test_part(relay: RunningRelay) -> None:
    """ "the user will receive a PART message from the server for each channel they have been
    removed from." "<reason> (if it exists) should be on each of these messages." """
    ann, bob = together(relay, "ann", "bob")
    for client in (ann, bob):
        client.ask("JOIN #b")
    bob.sync()
    ann.sync()
    wanted = [":ann PART #a :so long", ":ann PART #b :so long"]
    assert ann.ask("PART #A,#b :so long") == wanted
    assert bob.seen() == wanted
    assert bob.ask("PART #a") == [":bob PART #a"]


def test_part_errors(relay: RunningRelay) -> None:
    """ "if the channel exists and the client is not joined to it, they will receive an
    ERR_NOTONCHANNEL reply (…) If the channel does not exist, (…) ERR_NOSUCHCHANNEL" """
    together(relay, "ann")
    bob = relay.join("bob")
    assert bob.ask("PART #A,#none,x") == [
        "442 bob #a :You're not on that channel",
        "403 bob #none :No such channel",
        "403 bob x :No such channel",
    ]
    assert bob.ask("PART") == ["461 bob PART :Not enough parameters"]


# ---- TOPIC ----


def test_topic(relay: RunningRelay) -> None:
    """ "every client in that channel (including the author of the topic change) will receive a
    TOPIC command with the new topic as argument (or an empty argument if the topic was cleared)"
    "If RPL_TOPIC is returned (…) RPL_TOPICWHOTIME SHOULD also be sent" """
    ann, bob = together(relay, "ann", "bob")
    host = relay.session("ann").host
    assert bob.ask("TOPIC #a") == ["331 bob #a :No topic is set"]
    assert ann.ask("TOPIC #A :about: tea") == [":ann TOPIC #a :about: tea"]
    assert bob.seen() == [":ann TOPIC #a :about: tea"]
    assert bob.ask("TOPIC #a") == [
        "332 bob #a :about: tea",
        f"333 bob #a ann!~ann@{host} 1700000000",
    ]
    assert ann.ask("TOPIC #a :") == [":ann TOPIC #a :"]
    assert bob.seen() == [":ann TOPIC #a :"]
    assert bob.ask("TOPIC #a") == ["331 bob #a :No topic is set"]


def test_topic_errors(relay: RunningRelay) -> None:
    """ "If a client does not have appropriate channel permissions and tries to change the topic,
    the ERR_CHANOPRIVSNEEDED numeric is returned" """
    ann, bob = together(relay, "ann", "bob")
    carl = relay.join("carl")
    assert bob.ask("TOPIC #a :mine") == ["482 bob #a :You're not channel operator"]
    assert carl.ask("TOPIC #a :mine") == ["442 carl #a :You're not on that channel"]
    assert carl.ask("TOPIC #none :x", "TOPIC #none") == ["403 carl #none :No such channel"] * 2
    assert carl.ask("TOPIC") == ["461 carl TOPIC :Not enough parameters"]
    ann.ask("MODE #a -t")
    bob.sync()
    assert bob.ask("TOPIC #a :mine") == [":bob TOPIC #a mine"]


def test_a_long_topic_is_cut_between_characters(relay: RunningRelay) -> None:
    """TOPICLEN is in bytes of UTF-8; a character stays whole."""
    (ann,) = together(relay, "ann")
    (message,) = ann.collect("TOPIC #a :x" + "é" * 220)
    assert message.params[1] == "x" + "é" * 149


# ---- NAMES ----


def test_names(relay: RunningRelay) -> None:
    """ "If the channel name is invalid or the channel does not exist, one RPL_ENDOFNAMES numeric
    containing the given channel name should be returned." """
    ann, bob = together(relay, "ann", "bob")
    ann.ask("MODE #a +v bob", "JOIN #b")
    carl = relay.join("carl")
    end = "End of /NAMES list"
    assert carl.ask("NAMES #A,#b,#none,x") == [
        "353 carl = #a :@ann +bob",
        f"366 carl #a :{end}",
        "353 carl = #b @ann",
        f"366 carl #b :{end}",
        f"366 carl #none :{end}",
        f"366 carl x :{end}",
    ]
    assert carl.ask("NAMES") == [f"366 carl * :{end}"]
    ann.ask("MODE #a +s")
    bob.ask("MODE bob +i")
    assert carl.ask("NAMES #a") == [f"366 carl #a :{end}"]
    ann.sync()
    assert ann.ask("NAMES #a")[0] == "353 ann @ #a :@ann +bob"
    ann.ask("MODE #a -s")
    assert carl.ask("NAMES #a")[0] == "353 carl = #a @ann"


@pytest.mark.parametrize(
    "line", ["NAMES :a b", "NAMES ::x", "NAMES :", "NAMES :,,", "WHO :a b", "WHO ::x"]
)
def test_odd_names_are_answered(relay: RunningRelay, line: str) -> None:
    """A numeric holds no parameter that would change its form; * stands for it."""
    answers = relay.join("ann").ask(line)
    assert set(commands(answers)) <= {"366", "315"}
    assert answers


# ---- KICK ----


def test_kick(relay: RunningRelay) -> None:
    """ "Servers MUST NOT send multiple users in this message to clients, and MUST distribute these
    multiple-user KICK messages as a series of messages with a single user name on each." "If no
    comment is given, the server SHOULD use a default message instead." """
    ann, bob, carl = together(relay, "ann", "bob", "carl")
    wanted = [":ann KICK #a bob :out of here", ":ann KICK #a carl :out of here"]
    assert ann.ask("KICK #A BOB,carl :out of here") == wanted
    assert bob.seen() == wanted[:1]
    assert carl.seen() == wanted
    assert bob.ask("PRIVMSG #a :x") == ["404 bob #a :Cannot send to channel (+n)"]
    bob.ask("JOIN #a")
    ann.sync()
    assert ann.ask("KICK #a bob") == [":ann KICK #a bob ann"]
    assert ann.ask("KICK #a ann") == [":ann KICK #a ann ann"]
    assert ann.ask("KICK #a ann") == ["403 ann #a :No such channel"]


def test_kick_errors(start_relay: StartRelay) -> None:
    """ERR_CHANOPRIVSNEEDED, ERR_USERNOTINCHANNEL, ERR_NOTONCHANNEL, ERR_NOSUCHCHANNEL; "silently
    drop targets if the number of targets exceeds the limit." """
    relay = start_relay(limits={"targets": 2})
    ann, bob = together(relay, "ann", "bob")
    carl = relay.join("carl")
    assert bob.ask("KICK #a ann") == ["482 bob #a :You're not channel operator"]
    assert carl.ask("KICK #a ann") == ["442 carl #a :You're not on that channel"]
    assert ann.ask("KICK #a carl") == ["441 ann carl #a :They aren't on that channel"]
    assert ann.ask("KICK #a nobody") == ["401 ann nobody :No such nick/channel"]
    assert ann.ask("KICK #none bob") == ["403 ann #none :No such channel"]
    assert ann.ask("KICK #a") == ["461 ann KICK :Not enough parameters"]
    assert len(ann.ask("KICK #a x,y,bob")) == 2
    assert ann.ask("KICK #a,#b x,y,z") == ["461 ann KICK :Not enough parameters"]


def test_kick_from_several_channels(relay: RunningRelay) -> None:
    """RFC 2812: "there MUST be either one channel parameter and multiple user parameter, or as many
    channel parameters as there are user parameters." """
    ann, bob, carl = together(relay, "ann", "bob", "carl")
    for client in (ann, bob, carl):
        client.ask("JOIN #b")
        client.sync()
    ann.sync()
    assert ann.ask("KICK #a,#b bob,carl :out") == [
        ":ann KICK #a bob out",
        ":ann KICK #b carl out",
    ]


def test_kick_and_ranks(relay: RunningRelay) -> None:
    """Nobody puts out somebody of a higher rank, nor a half-op another."""
    ann, bob, carl = together(relay, "ann", "bob", "carl")
    ann.ask("MODE #a +hh bob carl")
    bob.sync()
    higher = "482 bob #a :Their rank is not below yours"
    assert bob.ask("KICK #a ann", "KICK #a carl") == [higher, higher]
    ann.ask("MODE #a -h+v carl carl")
    bob.sync()
    assert bob.ask("KICK #a carl") == [":bob KICK #a carl bob"]
    carl.ask("JOIN #a")
    ann.ask("MODE #a +o bob")
    bob.sync()
    assert bob.ask("KICK #a ann") == [":bob KICK #a ann bob"]


# ---- INVITE ----


def test_invite(relay: RunningRelay) -> None:
    """ "the server MUST send a RPL_INVITING numeric to the command issuer, and an INVITE message,
    with the issuer as <source>, to the target user. Other channel members SHOULD NOT be notified."
    """
    ann, bob = together(relay, "ann", "bob")
    carl = relay.join("carl")
    carl.ask("AWAY :tea time")
    assert ann.ask("INVITE CARL #A") == ["341 ann carl #a", "301 ann carl :tea time"]
    assert carl.seen() == [":ann INVITE carl #a"]
    assert bob.seen() == []
    assert carl.ask("INVITE") == ["336 carl #a", "337 carl :End of /INVITE list"]
    carl.ask("JOIN #a")
    assert carl.ask("INVITE") == ["337 carl :End of /INVITE list"]


def test_invite_errors(relay: RunningRelay) -> None:
    """ "the server MUST reject the command with the ERR_NOTONCHANNEL numeric." "ERR_USERONCHANNEL"
    "SHOULD reject it when the channel has invite-only mode set, and the user is not a channel
    operator." """
    ann, bob = together(relay, "ann", "bob")
    carl = relay.join("carl")
    assert carl.ask("INVITE ann #a") == ["442 carl #a :You're not on that channel"]
    assert bob.ask("INVITE ann #a") == ["443 bob ann #a :is already on channel"]
    assert bob.ask("INVITE nobody #a") == ["401 bob nobody :No such nick/channel"]
    assert bob.ask("INVITE carl #none") == ["403 bob #none :No such channel"]
    assert bob.ask("INVITE carl") == ["461 bob INVITE :Not enough parameters"]
    ann.ask("MODE #a +i")
    bob.sync()
    assert bob.ask("INVITE carl #a") == ["482 bob #a :You're not channel operator"]
    assert carl.seen() == []


def test_an_invitation_follows_a_nick_and_ends_with_the_user(relay: RunningRelay) -> None:
    (ann,) = together(relay, "ann")
    bob = relay.join("bob")
    ann.ask("MODE #a +i", "INVITE bob #a")
    bob.ask("NICK bobby")
    assert bob.ask("INVITE")[0] == "336 bobby #a"
    bob.quit()
    other = relay.join("bobby")
    assert commands(other.ask("JOIN #a")) == ["473"]


# ---- what one command may cost the others ----


def test_names_of_one_channel_many_times_are_told_once(relay: RunningRelay) -> None:
    """ "Servers MAY allow more than one target channel. They can advertise the maximum" """
    (ann,) = together(relay, "ann")
    assert commands(ann.ask("NAMES " + ",".join(["#a"] * 100))) == ["353", "366"]
    assert commands(ann.ask("NAMES #b,#c,#d,#e,#f")) == ["366"] * 4


def test_joining_one_channel_many_times_is_one_command(relay: RunningRelay) -> None:
    ann = relay.join("ann")
    assert commands(ann.ask("JOIN " + ",".join(["nothing"] * 50))) == ["403"]
    assert commands(ann.ask("PART " + ",".join(["#nothing"] * 50))) == ["403"]


def test_many_answers_are_spread_over_turns_and_all_come(relay: RunningRelay) -> None:
    """A line that is answered with much makes those after it wait for the next turn."""
    ann = relay.join("ann")
    lines = ["HELP MODE"] * 400
    found = ann.ask(*lines)
    assert sum(len(line) + 2 for line in found) > ANSWER_BYTES
    assert commands(found).count("706") == len(lines)


def test_a_command_refused_many_times_is_a_line_or_two_of_the_log(
    relay: RunningRelay, caplog: pytest.LogCaptureFixture
) -> None:
    ann = relay.join("ann")
    caplog.clear()
    ann.ask("JOIN " + ",".join(f"bad{n}" for n in range(80)))
    refused = [message for message in caplog.messages if "refused JOIN" in message]
    assert len(refused) == 2
    assert "80 times in all" in refused[1]


def test_many_channels_are_joined_and_parted_piece_by_piece(relay: RunningRelay) -> None:
    ann = relay.join("ann", "labeled-response", "batch")
    rooms = [f"#{number}" for number in range(PIECE_LINES // 2)]
    found = ann.collect(f"@label=x JOIN {','.join(rooms)}")
    joined = [message.params[0] for message in found if message.command == "JOIN"]
    assert joined == rooms
    assert [message.params[1] for message in found if message.command == "366"] == rooms
    (start,) = [message for message in found if message.tags.get("label") == "x"]
    assert short(start).endswith(" labeled-response")
    assert commands(ann.ask(f"PART {','.join(rooms[1:])}")) == ["PART"] * (len(rooms) - 1)
    assert ann.ask("JOIN 0") == [f":ann PART {rooms[0]}"]
