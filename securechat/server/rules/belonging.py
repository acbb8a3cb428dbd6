"""Rooms that belong to an account, and what they remember.

A room made by somebody who is logged in belongs to that account. It outlives its last member, and
remembers by account who has which rank and since when somebody is a member; so it gives back ranks
on joining. Nobody acts against the owner, whose rank as founder cannot be lost for good. A guest's
room belongs to nobody, and ends with its last member; one of its operators who is logged in may
claim it. Operators of the relay may pass on or drop any room: owners lose their passwords.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from securechat.irc import numerics
from securechat.irc.modes import PREFIXES, ModeChange
from securechat.server import effects, events
from securechat.server.effects import Effect
from securechat.server.events import Event, SessionId, Stamp
from securechat.server.refusals import Refusal
from securechat.server.rules.ranks import at_least, check_rank, may_give, outranks
from securechat.server.rules.rule import Rule
from securechat.server.state import Author, Channel, Membership, User

if TYPE_CHECKING:
    from securechat.server.network import Network

__all__ = [
    "RULES",
    "check_may_own_another",
    "check_not_owner",
    "enter",
    "forget_account",
    "leave",
    "logged_in",
    "make_owner",
    "may_always_enter",
    "put_back",
    "remember_rank",
    "standing",
]

_FOUNDER: Final = ("q", "o")
"""The ranks that an owner is given."""

_TOO_MANY: Final = "You own as many rooms as you may: free one with ROOM DROP or ROOM TRANSFER"


def make_owner(network: Network, channel: Channel, account: str) -> None:
    """Make ``channel`` that of ``account`` (folded), its founder."""
    _change_owner(network, channel, account)
    _mark_founders(network, channel)
    channel.remembered.setdefault(account, set()).update(_FOUNDER)


def _change_owner(network: Network, channel: Channel, account: str | None) -> None:
    if channel.owner is not None:
        network.count_room(channel.owner, -1)
    channel.owner = account
    if account is not None:
        network.count_room(account, 1)


def check_may_own_another(network: Network, account: str, name: str) -> None:
    """Refuse if ``account`` (folded) owns as many rooms as it may."""
    if network.owned_rooms[account] >= network.limits.rooms_per_account:
        raise Refusal(numerics.ERR_TOOMANYCHANNELS, name, text=_TOO_MANY)


def check_not_owner(network: Network, channel: Channel, user: User, target: User) -> None:
    """Refuse if ``user`` acts against ``target``, to whom ``channel`` belongs."""
    account = network.account_key(target)
    if user is not target and account is not None and account == channel.owner:
        raise Refusal(numerics.ERR_CHANOPRIVSNEEDED, channel.name, text="The channel is theirs")


def _mark_founders(network: Network, channel: Channel) -> None:
    """Mark the members to whose account ``channel`` belongs now."""
    for member in channel.members.values():
        account = network.account_key(member.user)
        member.founder = account is not None and account == channel.owner


def may_always_enter(network: Network, channel: Channel, user: User) -> bool:
    """Whether the account of ``user`` is trusted enough here to need no key or invitation."""
    return at_least(standing(network, channel, user), "h")


def enter(network: Network, channel: Channel, user: User, at_ms: int) -> Membership:
    """Make ``user`` a member of ``channel``, with what it remembers of their account."""
    account = network.account_key(user)
    ranks: set[str] = set()
    if channel.owner is not None and account is not None:
        ranks = _ranks_on_entering(channel, account)
        at_ms = channel.members_since.setdefault(account, at_ms)
    founder = account is not None and account == channel.owner
    member = channel.members[user.id] = Membership(user, ranks, at_ms, founder)
    user.channels[network.fold(channel.name)] = channel
    return member


def _ranks_on_entering(channel: Channel, account: str) -> set[str]:
    founder = {"q"} if account == channel.owner else set()
    return channel.remembered.get(account, set()) | founder


def put_back(network: Network, user: User, at_ms: int) -> None:
    """Put ``user``, who is always on, into the rooms where they were when the relay ended."""
    account = network.account_key(user)
    if account is not None:
        for channel in network.present_before.pop(account, ()):
            if not channel.ended:
                enter(network, channel, user, at_ms)


def leave(network: Network, channel: Channel, user: User) -> None:
    """Take ``user`` out of ``channel`` for good: their account is no member any more."""
    network.remove_member(channel, user)
    account = network.account_key(user)
    if account is not None and not network.is_present(channel, account):
        channel.members_since.pop(account, None)


def logged_in(network: Network, event: Event, user: User, previous: str | None) -> list[Effect]:
    """Remember that the new account of ``user`` is a member where they are.

    What the ``previous`` account (``None``: a guest) was there stays with it: the new one has the
    ranks that are remembered of it, and is a member from now on.
    """
    account = network.account_key(user)
    seen: list[Effect] = []
    for channel in user.channels.values():
        if channel.owner is None or account is None:
            continue
        member = channel.members[user.id]
        member.founder = account == channel.owner
        if previous is None:
            channel.members_since.setdefault(account, member.since_ms)
            continue
        member.since_ms = channel.members_since.setdefault(account, event.stamp.at_ms)
        had, member.ranks = member.ranks, _ranks_on_entering(channel, account)
        lost, won = (
            [ModeChange(adding, letter, user.nick) for letter in PREFIXES if letter in letters]
            for adding, letters in ((False, had - member.ranks), (True, member.ranks - had))
        )
        seen += _shown(event, channel, user, lost + won)
    return seen


def remember_rank(network: Network, channel: Channel, user: User, change: ModeChange) -> None:
    """Remember a change of the rank of ``user``, if they and the room have an account."""
    account = network.account_key(user)
    if channel.owner is not None and account is not None:
        _remember(channel, account, change)


def _remember(channel: Channel, account: str, change: ModeChange) -> None:
    ranks = channel.remembered.setdefault(account, set())
    (ranks.add if change.adding else ranks.discard)(change.letter)
    if not ranks:
        del channel.remembered[account]


def standing(network: Network, channel: Channel, user: User) -> set[str]:
    """Return the ranks that ``user`` has in ``channel``, in it or not."""
    account = network.account_key(user)
    ranks = set(channel.ranks(user))
    if account is not None:
        ranks |= channel.remembered.get(account, set())
        if account == channel.owner:
            ranks.update(_FOUNDER)
    return ranks


# ---- by command ----


def claim(network: Network, event: events.ClaimRoom) -> list[Effect]:
    """Make a guests' room that of one of its operators."""
    user, channel = network.member(event.stamp.session, event.channel)
    check_rank(channel, user, "o")
    account = network.account_key(user)
    if account is None or channel.owner is not None:
        raise Refusal(numerics.ERR_CHANOPRIVSNEEDED, channel.name)
    check_may_own_another(network, account, channel.name)
    for member in channel.members.values():
        key = network.account_key(member.user)
        if key is not None:
            channel.members_since.setdefault(key, member.since_ms)
            if member.ranks:
                channel.remembered.setdefault(key, set()).update(member.ranks)
    return _give(network, event, channel, user, account)


def transfer(network: Network, event: events.TransferRoom) -> list[Effect]:
    """Pass a room on to the account of a member; who had it stays an operator."""
    user, channel = _owned(network, event.stamp.session, event.channel)
    account = network.fold(event.account)
    if account not in network.accounts:
        raise Refusal(numerics.ERR_NOSUCHNICK, event.account)
    if account == channel.owner:
        return []
    if account not in channel.members_since and "o" not in user.modes:
        # Whoever came in of their own will: others' quotas are not to be filled with rooms.
        raise Refusal(numerics.ERR_USERNOTINCHANNEL, event.account, channel.name)
    check_may_own_another(network, account, channel.name)
    return _give(network, event, channel, user, account)


def drop(network: Network, event: events.DropRoom) -> list[Effect]:
    """Make a room belong to nobody; it goes at once if nobody is in it."""
    user, channel = _owned(network, event.stamp.session, event.channel)
    return [_disown(network, event.stamp, channel, user.author)]


def _disown(network: Network, stamp: Stamp, channel: Channel, author: Author) -> Effect:
    _change_owner(network, channel, None)
    _mark_founders(network, channel)
    channel.remembered.clear()
    channel.members_since.clear()
    network.end_if_empty(channel)
    return effects.OwnerChanged(stamp, channel, author)


def forget_account(network: Network, stamp: Stamp, account: str) -> list[Effect]:
    """Have all rooms forget ``account`` (folded), of which nobody is there.

    Those that were its own belong to nobody.
    """
    network.present_before.pop(account, None)
    author = Author(network.accounts.get(account, account), None)
    found: list[Effect] = []
    for channel in list(network.channels.values()):
        if channel.owner == account:
            found.append(_disown(network, stamp, channel, author))
            continue
        ranks = channel.remembered.pop(account, None)
        since_ms = channel.members_since.pop(account, None)
        if ranks is not None or since_ms is not None:
            found.append(effects.MemberForgotten(stamp, channel, account))
    return found


def set_retention(network: Network, event: events.SetRetention) -> list[Effect]:
    """Set for how long a room keeps what is said."""
    user, channel = _owned(network, event.stamp.session, event.channel)
    if event.days == channel.history_days:
        return []
    channel.history_days = event.days
    return [effects.RetentionChanged(event.stamp, channel, user.author, event.days)]


def rank_account(network: Network, event: events.RankAccount) -> list[Effect]:
    """Change which ranks an account has in a room, whether it is there or not."""
    user = network.sessions[event.stamp.session]
    channel = network.find_channel(event.channel)
    if channel is None:
        raise Refusal(numerics.ERR_NOSUCHCHANNEL, event.channel)
    change, account = event.change, network.fold(event.account)
    if change.adding and account not in network.accounts:
        raise Refusal(numerics.ERR_NOSUCHNICK, event.account)
    if not _may_rank(network, channel, user, account, change):
        raise Refusal(numerics.ERR_CHANOPRIVSNEEDED, channel.name)
    remembered = channel.remembered.get(account, ())
    changes = _set_ranks(network, channel, account, change)
    if not changes and change.adding == (change.letter in remembered):
        return []
    _remember(channel, account, change)
    return [
        effects.RankRemembered(event.stamp, channel, user.author, account, change),
        *_shown(event, channel, user, changes),
    ]


def _may_rank(
    network: Network, channel: Channel, user: User, account: str, change: ModeChange
) -> bool:
    if channel.owner is None or (account == channel.owner and change.letter == "q"):
        return False
    if not change.adding and account == network.account_key(user):
        return True
    mine = standing(network, channel, user)
    if change.adding:
        return may_give(mine, change.letter)
    theirs = channel.remembered.get(account, ())
    return account != channel.owner and may_give(mine, change.letter) and outranks(mine, theirs)


def _owned(network: Network, session: SessionId, name: str) -> tuple[User, Channel]:
    """Return the user of ``session`` and the channel, which is theirs to give away."""
    user, channel = network.sessions[session], network.find_channel(name)
    if channel is None:
        raise Refusal(numerics.ERR_NOSUCHCHANNEL, name)
    own = channel.owner is not None and channel.owner == network.account_key(user)
    if channel.owner is None or not (own or "o" in user.modes):
        raise Refusal(numerics.ERR_CHANOPRIVSNEEDED, channel.name)
    return user, channel


def _give(
    network: Network, event: Event, channel: Channel, user: User, account: str
) -> list[Effect]:
    """Make ``channel`` that of ``account`` instead of who had it."""
    changes = []
    if channel.owner is not None:
        change = ModeChange(False, "q")
        changes += _set_ranks(network, channel, channel.owner, change)
        _remember(channel, channel.owner, change)
    make_owner(network, channel, account)
    for letter in _FOUNDER:
        changes += _set_ranks(network, channel, account, ModeChange(True, letter))
    changed = effects.OwnerChanged(event.stamp, channel, user.author)
    return [changed, *_shown(event, channel, user, changes)]


def _set_ranks(
    network: Network, channel: Channel, account: str, change: ModeChange
) -> list[ModeChange]:
    """Change the rank of the users of ``account`` who are there; return what members see."""
    changes = []
    for member in channel.members.values():
        if network.account_key(member.user) != account:
            continue
        if change.adding != (change.letter in member.ranks):
            (member.ranks.add if change.adding else member.ranks.discard)(change.letter)
            changes.append(ModeChange(change.adding, change.letter, member.user.nick))
    return changes


def _shown(event: Event, channel: Channel, user: User, changes: list[ModeChange]) -> list[Effect]:
    if not changes:
        return []
    return [effects.ChannelModesChanged(event.stamp, channel, user.author, tuple(changes))]


RULES: Final[Mapping[type[Event], Rule]] = {
    events.ClaimRoom: claim,
    events.TransferRoom: transfer,
    events.DropRoom: drop,
    events.SetRetention: set_retention,
    events.RankAccount: rank_account,
}
"""The rule of each event."""
