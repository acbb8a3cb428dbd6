"""What others say in English, in the language in use.

A reason may come from our own protocol, from the client of somebody else, which has the same texts,
or from a server, whose refusals are known by their code. What is not known stays as it was said;
in English all of it does.
"""

from __future__ import annotations

import re
from typing import Final

from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _, gettext_noop, language
from securechat.irc import numerics

__all__ = ["RELAY_NEWS", "reason", "refusal"]

_BY_CODE: Final = {
    numerics.ERR_NOSUCHNICK: gettext_noop("there is nobody of that name, and no such room"),
    numerics.ERR_NOSUCHSERVER: gettext_noop("there is no such server"),
    numerics.ERR_NOSUCHCHANNEL: gettext_noop("there is no such room"),
    numerics.ERR_CANNOTSENDTOCHAN: gettext_noop("you may not write to this room"),
    numerics.ERR_TOOMANYCHANNELS: gettext_noop("you are in too many rooms"),
    numerics.ERR_WASNOSUCHNICK: gettext_noop("there was nobody of that name"),
    numerics.ERR_TOOMANYTARGETS: gettext_noop("too many at once"),
    numerics.ERR_NORECIPIENT: gettext_noop("it is not said to whom"),
    numerics.ERR_NOTEXTTOSEND: gettext_noop("there is no text"),
    numerics.ERR_INPUTTOOLONG: gettext_noop("the line is too long"),
    numerics.ERR_UNKNOWNCOMMAND: gettext_noop("the server does not know this command"),
    numerics.ERR_NOMOTD: gettext_noop("there is no message of the day"),
    numerics.ERR_NONICKNAMEGIVEN: gettext_noop("a nick is missing"),
    numerics.ERR_ERRONEUSNICKNAME: gettext_noop("this cannot be a nick"),
    numerics.ERR_NICKNAMEINUSE: gettext_noop("this nick is taken"),
    numerics.ERR_USERNOTINCHANNEL: gettext_noop("they are not in this room"),
    numerics.ERR_NOTONCHANNEL: gettext_noop("you are not in this room"),
    numerics.ERR_USERONCHANNEL: gettext_noop("they are in this room already"),
    numerics.ERR_NOTREGISTERED: gettext_noop("not before you are on the network"),
    numerics.ERR_NEEDMOREPARAMS: gettext_noop("something is missing in the command"),
    numerics.ERR_ALREADYREGISTERED: gettext_noop("you are on the network already"),
    numerics.ERR_PASSWDMISMATCH: gettext_noop("the password is wrong"),
    numerics.ERR_CHANNELISFULL: gettext_noop("the room is full"),
    numerics.ERR_UNKNOWNMODE: gettext_noop("there is no such mode"),
    numerics.ERR_INVITEONLYCHAN: gettext_noop("one enters this room by invitation"),
    numerics.ERR_BANNEDFROMCHAN: gettext_noop("you are banned from this room"),
    numerics.ERR_BADCHANNELKEY: gettext_noop("the key of the room is missing or wrong"),
    numerics.ERR_BADCHANMASK: gettext_noop("this cannot be the name of a room"),
    numerics.ERR_NEEDREGGEDNICK: gettext_noop("this needs a login to an account"),
    numerics.ERR_BANLISTFULL: gettext_noop("the list of the room is full"),
    numerics.ERR_NOPRIVILEGES: gettext_noop("only operators of the network may do this"),
    numerics.ERR_CHANOPRIVSNEEDED: gettext_noop("only operators of the room may do this"),
    numerics.ERR_NOOPERHOST: gettext_noop("nobody becomes an operator from here"),
    numerics.ERR_UMODEUNKNOWNFLAG: gettext_noop("there is no such mode of a person"),
    numerics.ERR_USERSDONTMATCH: gettext_noop("the modes of others cannot be seen or set"),
    numerics.ERR_HELPNOTFOUND: gettext_noop("there is no help on this"),
    numerics.ERR_INVALIDKEY: gettext_noop("this cannot be the key of a room"),
    numerics.ERR_INVALIDMODEPARAM: gettext_noop("the value of the mode is not usable"),
    numerics.ERR_SASLFAIL: gettext_noop("account and password do not fit together"),
    numerics.ERR_SASLTOOLONG: gettext_noop("the login is too long"),
    numerics.ERR_SASLABORTED: gettext_noop("the login was broken off"),
    numerics.ERR_SASLALREADY: gettext_noop("you are logged in already"),
    "ACCOUNT_EXISTS": gettext_noop("there is such an account already"),
    "ACCOUNT_NAME_MUST_BE_NICK": gettext_noop("an account must be named like your nick"),
    "ACCOUNT_REQUIRED": gettext_noop("this needs a login to an account"),
    "ALREADY_AUTHENTICATED": gettext_noop("you are logged in already"),
    "BAD_ACCOUNT_NAME": gettext_noop("this cannot be the name of an account"),
    "CANNOT_RENAME": gettext_noop("the room cannot be renamed"),
    "CHANNEL_NAME_IN_USE": gettext_noop("there is a room of that name already"),
    "COMPLETE_CONNECTION_REQUIRED": gettext_noop("not before you are on the network"),
    "INTERNAL_ERROR": gettext_noop("the server has failed; try again"),
    "INVALID_EMAIL": gettext_noop("the invitation code or e-mail address is not usable"),
    "INVALID_PARAMS": gettext_noop("the command is not usable like that"),
    "INVALID_REALNAME": gettext_noop("this cannot be a real name"),
    "INVALID_TARGET": gettext_noop("there is no such conversation"),
    "MESSAGE_ERROR": gettext_noop("the history cannot be read"),
    "NEED_MORE_PARAMS": gettext_noop("something is missing in the command"),
    "NEED_NICK": gettext_noop("a nick is missing"),
    "NO_SUCH_ACCOUNT": gettext_noop("there is no such account"),
    "REDACT_FORBIDDEN": gettext_noop("you may not delete this message"),
    "REDACT_WINDOW_EXPIRED": gettext_noop("it is too late to delete this message"),
    "RELAY_ISOLATED": gettext_noop(
        "this relay is cut off from the others, and does nothing without them; try again later"
    ),
    "TEMPORARILY_UNAVAILABLE": gettext_noop("not possible at the moment; try again later"),
    "UNACCEPTABLE_PASSWORD": gettext_noop("this password is not usable"),
    "UNKNOWN_MSGID": gettext_noop("there is no such message, or it is too old"),
    "WEAK_PASSWORD": gettext_noop("the password is too weak"),
}
"""What the codes of refusals mean, where they mean one thing with any server."""

RELAY_NEWS: Final = (
    gettext_noop("This relay is cut off from the others"),
    gettext_noop("This relay is one with the others again"),
)
"""How our relay begins to say what concerns all that is said there."""

_SAID: Final = frozenset(
    {
        gettext_noop("An account must be named like your nick"),
        gettext_noop("Cannot join channel (+R): log in to an account first"),
        gettext_noop("Cannot send to channel (+C)"),
        gettext_noop("Cannot send to channel (+M)"),
        gettext_noop("Cannot send to channel (+R)"),
        gettext_noop("Cannot send to channel (+b)"),
        gettext_noop("Cannot send to channel (+m)"),
        gettext_noop("Cannot send to channel (+n)"),
        gettext_noop("Choose a nick first"),
        gettext_noop("Disconnected by another device"),
        gettext_noop("Erroneous nickname"),
        gettext_noop("Excess Flood"),
        gettext_noop("Logins are not possible at the moment; try again"),
        gettext_noop("Messages could not be retrieved"),
        gettext_noop("Nickname is already in use"),
        gettext_noop("Nickname is registered: log in to its account, or choose another"),
        gettext_noop("Nickname looks like one in use"),
        gettext_noop("Nobody of that name can be reached as a peer"),
        gettext_noop("Password incorrect"),
        gettext_noop("Registration is closed"),
        gettext_noop("Registration is not possible at the moment; try again"),
        gettext_noop("Registration timed out"),
        gettext_noop("SASL authentication failed"),
        gettext_noop("The channel name is already taken"),
        gettext_noop("The messages could not be searched"),
        gettext_noop("Their rank is not below yours"),
        gettext_noop("There are too many offers that nobody has answered or ended"),
        gettext_noop("There is no such offer"),
        gettext_noop("The relay is shutting down"),
        gettext_noop("This account exists already"),
        gettext_noop("This cannot be an account's name"),
        gettext_noop("This looks like somebody else"),
        gettext_noop("This nick is in use"),
        *RELAY_NEWS,
        gettext_noop("This relay has lost the others"),
        gettext_noop("This relay has still to join the others"),
        gettext_noop("This relay was cut off from the others for too long; connect again"),
        gettext_noop("Too many connections from your address"),
        gettext_noop("Too many failed logins; wait a minute"),
        gettext_noop("Too often; wait a minute"),
        gettext_noop("You are logged in"),
        gettext_noop("You are not authorised to delete this message"),
        gettext_noop("You can no longer delete this message"),
        gettext_noop("You must be logged in to send a private message to this user"),
    }
)
"""What our relay says: where it tells more than its code does, or comes without one."""

_WITH_VALUES: Final = (
    gettext_noop("Closing link: {reason}"),
    gettext_noop("This relay is cut off from the others: {reason}"),
    gettext_noop(
        "This relay is cut off from the others ({reason}). You stay connected; what you send is "
        "not taken until it is back"
    ),
    gettext_noop("{nick} has ended it"),
    gettext_noop("{name} cannot be reached as a peer now"),
    gettext_noop("it cannot be read: {reason}"),
    gettext_noop("it cannot be stored: {reason}"),
    gettext_noop("somebody else has answered: {account}"),
    gettext_noop("the other side breaks the rules: {broken}"),
    gettext_noop("the relay refuses the tunnel: {words}"),
    gettext_noop("the relay takes {name} for {account}, but you know a {name}"),
    gettext_noop("TLS failed: {reason}"),
)
"""The reasons that come with something filled in."""

_FIELD: Final = re.compile(r"\{(\w+)\}")

_REASONS: Final = frozenset({"broken", "reason", "words"})
"""The names that stand for another reason."""


def refusal(code: str, text: str) -> str:
    """Return why a server refuses something, made safe.

    :param code: the numeric or the word of a standard reply; empty where there is none.
    """
    meaning = _BY_CODE.get(code)
    if language() == "en" or meaning is None or text in _SAID:
        return reason(text)
    return _(meaning)


def reason(text: str) -> str:
    """Return a reason that somebody has given as a text, made safe."""
    translated = _(text)
    if translated != text or language() == "en":
        return make_safe(translated)
    for template, pattern in _PATTERNS:
        if found := pattern.fullmatch(text):
            values = {
                name: reason(value) if name in _REASONS else make_safe(value)
                for name, value in found.groupdict().items()
            }
            return _(template, **values)
    return make_safe(text)


def _pattern(template: str) -> re.Pattern[str]:
    """Return what finds the values in a text that ``template`` was made to."""
    seen: set[str] = set()

    def group(field: re.Match[str]) -> str:
        name = field[1]
        again = name in seen
        seen.add(name)
        return f"(?P={name})" if again else f"(?P<{name}>.+)"

    return re.compile(_FIELD.sub(group, re.sub(r"[.?()]", r"\\\g<0>", template)), re.DOTALL)


_PATTERNS: Final = tuple((template, _pattern(template)) for template in _WITH_VALUES)
