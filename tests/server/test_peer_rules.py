"""Peers in the chat state: who can be reached, offers, pairs, and how they end."""

from __future__ import annotations

import pytest

from securechat.irc.peering import FailCode
from securechat.server.refusals import Fail
from securechat.server.rules.peers import (
    DEVICES_PER_ACCOUNT,
    OFFERS_BETWEEN_ACCOUNTS,
    OFFERS_PER_ACCOUNT,
    PAIRS_PER_SESSION,
)
from securechat.server.state import SESSION_BITS
from tests.server.network_transcripts import Chat

TWO = """
    >> 1 attach ann as ann
    >> 2 attach bob as bob
    >> 1 announce desk
    << announced desk of ann | now desk
    << reachable ann | to nobody
    >> 2 announce phone
    << announced phone of bob | now phone
    << reachable bob | to nobody
"""
"""Two who can be reached."""

THREE = f"""
    {TWO}
    >> 3 attach bob as bob
    << sessions bob: 2 3
    >> 3 announce tablet
    << announced tablet of bob | now phone tablet
"""
"""One of them on two devices."""

OFFERED = f"""
    {THREE}
    >> 1 offer bob * p
    << offered p by ann desk | to 2 3
"""

PAIR = f"""
    {OFFERED}
    >> 3 answer p
    << answered p by bob tablet | to 1
    << ended p by bob: answered by another device | to 2
"""

HERE = 1 << SESSION_BITS | 1
"""A session at the first relay."""

TRANSCRIPTS = {
    "only accounts have devices": """
        >> 1 attach guest
        >> 1 announce desk
        !! FAIL ACCOUNT_REQUIRED ANNOUNCE *
        >> 1 retract
        >> 1 offer guest * p
        !! FAIL NOT_ANNOUNCED OFFER p
    """,
    "who is told that somebody can be reached": """
        >> 1 attach ann as ann
        >> 2 attach bob as bob
        >> 3 attach guest
        >> 4 attach carl as carl
        >> 5 attach watcher
        >> 6 attach dora as dora
        >> 1 join #den
        << joined #den ann
        >> 2 join #den
        << joined #den bob
        >> 3 join #den
        << joined #den guest
        >> 4 watch ann
        >> 5 watch ann
        >> 1 announce desk
        << announced desk of ann | now desk
        << reachable ann | to bob | watched by 4
        >> 7 attach ann as ann
        << sessions ann: 1 7
        >> 7 announce phone
        << announced phone of ann | now desk phone
        >> 1 retract
        << retracted desk of ann
        >> 1 retract
        >> 7 retract
        << retracted phone of ann
        << unreachable ann | to bob | watched by 4
    """,
    "the same device again, and another in its place": f"""
        {OFFERED}
        >> 1 announce desk
        >> 1 announce laptop
        << ended p by ann: is another device now | to 2 3
        << retracted desk of ann
        << announced laptop of ann | now laptop
        >> 3 announce phone
        << retracted tablet of bob
        << announced phone of bob | now phone
        >> 1 offer bob phone q
        << offered q by ann laptop | to 2 3
    """,
    "an offer to any device, and to one": f"""
        {THREE}
        >> 1 offer BOB * p
        << offered p by ann desk | to 2 3
        >> 1 offer bob tablet q
        << offered q by ann desk | to 3
        >> 1 offer bob desk r
        !! FAIL NO_SUCH_PEER OFFER r
        >> 1 offer carl * r
        !! FAIL NO_SUCH_PEER OFFER r
        >> 2 offer ann * p
        !! FAIL ID_IN_USE OFFER p
        >> 1 offer bob * p
        !! FAIL ID_IN_USE OFFER p
    """,
    "an offer to oneself": f"""
        {THREE}
        >> 1 offer ann * p
        !! FAIL NO_SUCH_PEER OFFER p
        >> 1 offer ann desk p
        !! FAIL NO_SUCH_PEER OFFER p
        >> 2 offer bob * p
        << offered p by bob phone | to 3
        >> 2 answer p
        !! FAIL NO_SUCH_OFFER ANSWER p
        >> 3 answer p
        << answered p by bob tablet | to 2
        >> 2 candidates p 10.0.0.1:5000
        << candidates p by bob: 10.0.0.1:5000 | to 3
    """,
    "the first answer counts": f"""
        {PAIR}
        >> 2 answer p
        !! FAIL NO_SUCH_OFFER ANSWER p
        >> 3 answer p
        !! FAIL NO_SUCH_OFFER ANSWER p
        >> 1 answer p
        !! FAIL NO_SUCH_OFFER ANSWER p
        >> 2 withdraw p too late
        !! FAIL NO_SUCH_OFFER WITHDRAW p
        >> 1 withdraw p done
        << ended p by ann: done | to 3
        >> 3 withdraw p done
        !! FAIL NO_SUCH_OFFER WITHDRAW p
        >> 1 offer bob tablet p
        << offered p by ann desk | to 3
    """,
    "candidates and a tunnel are for the two sides": f"""
        {PAIR}
        >> 1 candidates p 10.0.0.1:5000
        << candidates p by ann: 10.0.0.1:5000 | to 3
        >> 3 candidates p
        << candidates p by bob:  | to 1
        >> 2 candidates p 10.0.0.1:5000
        !! FAIL NO_SUCH_OFFER CANDIDATES p
        >> 3 tunnel p
        << tunnel p: own to 3 other to 1
        >> 1 tunnel p
        << tunnel p: own to 1 other to 3
        >> 2 tunnel p
        !! FAIL NO_SUCH_OFFER TUNNEL p
    """,
    "nothing before the answer": f"""
        {OFFERED}
        >> 1 candidates p 10.0.0.1:5000
        !! FAIL NO_SUCH_OFFER CANDIDATES p
        >> 2 candidates p 10.0.0.1:5000
        !! FAIL NO_SUCH_OFFER CANDIDATES p
        >> 1 tunnel p
        !! FAIL NO_SUCH_OFFER TUNNEL p
        >> 2 tunnel p
        !! FAIL NO_SUCH_OFFER TUNNEL p
    """,
    "the pair of others": f"""
        {PAIR}
        >> 4 attach eve as eve
        >> 4 announce spy
        << announced spy of eve | now spy
        << reachable eve | to nobody
        >> 4 answer p
        !! FAIL NO_SUCH_OFFER ANSWER p
        >> 4 candidates p 10.0.0.1:5000
        !! FAIL NO_SUCH_OFFER CANDIDATES p
        >> 4 tunnel p
        !! FAIL NO_SUCH_OFFER TUNNEL p
        >> 4 withdraw p x
        !! FAIL NO_SUCH_OFFER WITHDRAW p
        >> 4 offer ann * p
        !! FAIL ID_IN_USE OFFER p
        >> 1 candidates p
        << candidates p by ann:  | to 3
    """,
    "the offerer withdraws": f"""
        {OFFERED}
        >> 1 withdraw p never mind
        << ended p by ann: never mind | to 2 3
        >> 2 answer p
        !! FAIL NO_SUCH_OFFER ANSWER p
    """,
    "one device declines, and then the last one": f"""
        {OFFERED}
        >> 2 withdraw p no
        >> 2 withdraw p no
        !! FAIL NO_SUCH_OFFER WITHDRAW p
        >> 2 answer p
        !! FAIL NO_SUCH_OFFER ANSWER p
        >> 3 withdraw p busy
        << ended p by bob: busy | to 1
    """,
    "a device that is left may answer": f"""
        {OFFERED}
        >> 3 withdraw p no
        >> 2 answer p
        << answered p by bob phone | to 1
    """,
    "one who was offered to leaves": f"""
        {OFFERED}
        >> 3 detach bye
        << retracted tablet of bob
        << sessions bob: 2
        >> 2 detach bye
        << ended p by bob: left the relay | to 1
        << retracted phone of bob
        << unreachable bob | to nobody
        << quit bob: bye | to nobody | from nowhere
    """,
    "the offerer leaves": f"""
        {OFFERED}
        >> 1 detach bye
        << ended p by ann: left the relay | to 2 3
        << retracted desk of ann
        << unreachable ann | to nobody
        << quit ann: bye | to nobody | from nowhere
    """,
    "one side of a pair leaves": f"""
        {PAIR}
        >> 3 detach bye
        << ended p by bob: left the relay | to 1
        << retracted tablet of bob
        << sessions bob: 2
    """,
    "somebody is told before the other is gone": f"""
        {TWO}
        >> 1 join #den
        << joined #den ann
        >> 2 join #den
        << joined #den bob
        >> 2 detach bye
        << retracted phone of bob
        << unreachable bob | to ann
        << quit bob: bye | to ann | from #den
    """,
    "an operator kills": f"""
        {PAIR}
        >> 2 offer ann * q
        << offered q by bob phone | to 1
        >> 9 attach root
        >> 9 oper
        << umode root: +o
        >> 9 kill bob spam
        << killed bob by root: spam
        << ended q by bob: left the relay | to 1
        << retracted phone of bob
        << ended p by bob: left the relay | to 1
        << retracted tablet of bob
        << unreachable bob | to nobody
        << quit bob: Killed (root (spam)) | to nobody | from nowhere
    """,
    "another account": f"""
        {TWO}
        >> 1 offer bob * p
        << offered p by ann desk | to 2
        >> 2 login bob
        >> 2 login carl
        << ended p by bob: is logged in to another account now | to 1
        << retracted phone of bob
        << unreachable bob | to nobody
        << account bob: carl | to nobody
        >> 2 answer p
        !! FAIL NO_SUCH_OFFER ANSWER p
        >> 1 offer carl * q
        !! FAIL NO_SUCH_PEER OFFER q
        >> 2 announce phone
        << announced phone of carl | now phone
        << reachable bob | to nobody
        >> 1 offer carl * q
        << offered q by ann desk | to 2
    """,
    "two nicks of one account": """
        >> 1 attach ann as ann
        >> 2 attach ann_ as ann
        >> 1 announce desk
        << announced desk of ann | now desk
        << reachable ann | to nobody
        >> 2 announce phone
        << announced phone of ann | now desk phone
        << reachable ann_ | to nobody
        >> 1 offer ann * p
        << offered p by ann desk | to 2
    """,
    "a tunnel is at the relay of who asks, if that can be told": f"""
        >> 0 relay a
        << relay a
        >> {HERE} attach ann as ann
        >> {HERE} announce desk
        << announced desk of ann | now desk
        << reachable ann | to nobody
        >> 2 attach bob as bob
        >> 2 announce phone
        << announced phone of bob | now phone
        << reachable bob | to nobody
        >> {HERE} offer bob * p
        << offered p by ann desk | to 2
        >> 2 answer p
        << answered p by bob phone | to {HERE}
        >> {HERE} tunnel p
        << tunnel p at a.test:6697: own to {HERE} other to 2
        >> 2 tunnel p
        !! FAIL NO_TUNNEL TUNNEL p
        >> 0 lost a 1 is lost
        << no relay a 1: is lost
        << ended p by ann: left the relay | to 2
        << retracted desk of ann
        << unreachable ann | to nobody
        << quit ann: a: is lost | to nobody | from nowhere
    """,
    "who stays without a device cannot be reached": f"""
        {TWO}
        >> 0 set ann always-on on
        << setting ann always-on: on
        << setting ann presence: …
        >> 1 detach bye
        << retracted desk of ann
        << unreachable ann | to nobody
        << sessions ann: {""}
        << away ann: Not here at the moment | to nobody
        << setting ann presence: …
        >> 2 offer ann * p
        !! FAIL NO_SUCH_PEER OFFER p
    """,
}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_transcript(name: str) -> None:
    Chat().play(TRANSCRIPTS[name])


def chat_of(accounts: int) -> Chat:
    """Return a chat of so many accounts, each on one device that can be reached."""
    chat = Chat()
    for number in range(accounts):
        chat.play(
            f"""
            >> {number} attach u{number} as u{number}
            >> {number} announce d{number}
            << announced d{number} of u{number} | now d{number}
            << reachable u{number} | to nobody
            """
        )
    return chat


def offer(chat: Chat, sender: int, recipient: int, name: str) -> None:
    chat.play(
        f"""
        >> {sender} offer u{recipient} * {name}
        << offered {name} by u{sender} d{sender} | to {recipient}
        """
    )


def test_a_session_makes_so_many_offers_and_pairs() -> None:
    """Those that were answered count, those that it has answered do not."""
    chat = chat_of(PAIRS_PER_SESSION + 2)
    for other in range(1, PAIRS_PER_SESSION + 1):
        offer(chat, 0, other, f"p{other}")
    chat.play(">> 1 answer p1\n<< answered p1 by u1 d1 | to 0")
    last = PAIRS_PER_SESSION + 1
    chat.play(f">> 0 offer u{last} * q\n!! FAIL TOO_MANY_OFFERS OFFER q")
    offer(chat, last, 0, "r")
    chat.play(f">> 0 answer r\n<< answered r by u0 d0 | to {last}")
    chat.play(">> 2 withdraw p2 no\n<< ended p2 by u2: no | to 0")
    offer(chat, 0, last, "q")


def test_so_many_offers_wait_at_an_account() -> None:
    senders = OFFERS_PER_ACCOUNT
    chat = chat_of(senders + 2)
    for sender in range(1, senders + 1):
        offer(chat, sender, 0, f"p{sender}")
    last = senders + 1
    chat.play(f">> {last} offer u0 * q\n!! FAIL TOO_MANY_OFFERS OFFER q")
    offer(chat, 0, last, "r")  # what it has offered itself is another matter
    chat.play(">> 0 answer p1\n<< answered p1 by u0 d0 | to 1")
    offer(chat, last, 0, "q")


def test_one_account_does_not_take_the_room_of_others() -> None:
    """Whichever of its devices makes the offers."""
    chat = chat_of(3)
    chat.play(
        """
        >> 9 attach u1 as u1
        << sessions u1: 1 9
        >> 9 announce d9
        << announced d9 of u1 | now d1 d9
        """
    )
    for number in range(OFFERS_BETWEEN_ACCOUNTS):
        offer(chat, 1, 0, f"p{number}")
    chat.play(">> 9 offer u0 * q\n!! FAIL TOO_MANY_OFFERS OFFER q")
    offer(chat, 2, 0, "q")
    offer(chat, 1, 2, "r")


def test_an_account_has_so_many_devices() -> None:
    chat = Chat()
    chat.play(">> 0 attach ann as ann\n>> 99 attach ann2 as ann")
    for number in range(1, DEVICES_PER_ACCOUNT + 1):
        sessions = " ".join(map(str, range(number + 1)))
        now = " ".join(f"d{each}" for each in range(1, number + 1))
        reachable = "\n<< reachable ann | to nobody" if number == 1 else ""
        chat.play(
            f">> {number} attach ann as ann\n<< sessions ann: {sessions}\n"
            f">> {number} announce d{number}\n<< announced d{number} of ann | now {now}{reachable}"
        )
    before = " ".join(f"d{each}" for each in range(2, DEVICES_PER_ACCOUNT + 1))
    chat.play(
        f"""
        >> 99 announce other
        !! FAIL TOO_MANY_DEVICES ANNOUNCE *
        >> 99 announce d1
        << announced d1 of ann | now {now}
        << reachable ann2 | to nobody
        >> 99 retract
        << retracted d1 of ann
        << unreachable ann2 | to nobody
        >> 1 announce other
        << retracted d1 of ann
        << announced other of ann | now {before} other
        """
    )


def test_every_refusal_of_the_rules_was_tried() -> None:
    """The other codes are of the handlers, and of the store."""
    chats = [Chat() for _ in TRANSCRIPTS]
    for chat, transcript in zip(chats, TRANSCRIPTS.values(), strict=True):
        chat.play(transcript)
    failures: list[Fail] = [failure for chat in chats for failure in chat.failures]
    assert {failure.params[1] for failure in failures} == {
        FailCode.ACCOUNT_REQUIRED,
        FailCode.NOT_ANNOUNCED,
        FailCode.NO_SUCH_PEER,
        FailCode.NO_SUCH_OFFER,
        FailCode.ID_IN_USE,
        FailCode.NO_TUNNEL,
    }


def test_secrets_are_not_shown() -> None:
    """Neither tokens nor addresses, in whatever an error prints."""
    chat = Chat()
    chat.play(PAIR)
    chat.play(
        """
        >> 1 candidates p 10.0.0.1:5000
        << candidates p by ann: 10.0.0.1:5000 | to 3
        >> 1 tunnel p
        << tunnel p: own to 1 other to 3
        """
    )
    for shown in map(repr, (*chat.events[-2:], *chat.effects[-2:])):
        assert "10.0.0.1" not in shown
        assert "own" not in shown
        assert "other" not in shown
