"""The chat as a state machine: transcripts of events and effects."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from dataclasses import fields, replace
from types import ModuleType

import pytest

from securechat.irc import numerics
from securechat.irc.message import NO_TAGS
from securechat.server import effects, events, network, rules
from securechat.server.effects import Effect
from securechat.server.events import Event, Stamp
from securechat.server.refusals import Banned, Fail, NickReserved, Refusal
from securechat.server.rules import belonging
from securechat.server.rules.table import RULES
from securechat.server.state import RELAY_SLOTS, SESSION_BITS, Author
from tests.server.network_checks import state_of
from tests.server.network_transcripts import LIMITS, START_MS, STEP_MS, Chat, parse_event
from tests.server.test_names import LOOKALIKES, NAMES
from tests.server.test_peer_rules import TRANSCRIPTS as PEER_TRANSCRIPTS
from tests.values import check_value

RULE_MODULES = [
    importlib.import_module(f"{rules.__name__}.{found.name}")
    for found in pkgutil.iter_modules(rules.__path__)
]

EAST, WEST, EAST_AGAIN = (n << SESSION_BITS for n in (1, 2, 3))
"""Where the sessions begin of the first relay that starts, of the second and of the third."""


TRANSCRIPTS = {
    "a relay is lost": f"""
        >> 0 relay east
        << relay east
        >> 0 relay west
        << relay west
        >> 0 account carol
        >> {EAST + 1} attach alice
        >> {EAST + 1} join #den
        << joined #den alice
        >> {WEST + 1} attach bob
        >> {WEST + 1} join #den
        << joined #den bob
        >> {EAST + 2} attach carol as carol
        >> {EAST + 2} join #den
        << joined #den carol
        >> {WEST + 2} attach carol as carol
        << sessions carol: {EAST + 2} {WEST + 2}
        >> 0 lost west 1 gone
        >> 0 lost east 2 gone
        >> 0 lost east 1 gone
        << no relay east 1: gone
        << quit alice: east: gone | to bob carol | from #den
        << sessions carol: {WEST + 2}
        >> 0 lost east 1 gone
        """,
    "who is always on stays when their relay is lost": f"""
        >> 0 relay east
        << relay east
        >> 0 account carol
        >> {EAST + 1} attach carol as carol
        >> {EAST + 1} set carol always-on on
        << setting carol always-on: on
        << setting carol presence: …
        >> 0 lost east 1 gone
        << no relay east 1: gone
        << sessions carol:
        << away carol: Not here at the moment | to nobody
        << setting carol presence: …
        """,
    "limits are part of the state; what cannot be one parts no relays": """
        >> 0 reload east channels_per_user=1 always_on=perhaps list_entries=many colour=blue
        << reloaded east
        >> 1 attach alice
        >> 1 join #den
        << joined #den alice
        >> 1 join #hall
        !! ERR_TOOMANYCHANNELS #hall
        """,
    "an operator kills": """
        >> 1 attach alice as alice
        >> 2 attach alice as alice
        << sessions alice: 1 2
        >> 3 attach bob
        >> 4 attach root
        >> 1 join #den
        << joined #den alice
        >> 3 join #den
        << joined #den bob
        >> 4 kill alice spam
        !! ERR_NOPRIVILEGES
        >> 4 oper
        << umode root: +o
        >> 4 kill nobody spam
        !! ERR_NOSUCHNICK nobody
        >> 3 watch alice
        >> 4 kill ALICE much spam
        << killed alice by root: much spam
        << quit alice: Killed (root (much spam)) | to bob | from #den
        << offline alice | watched by 3
        >> 1 detach closed
        >> 2 detach closed
        >> 5 attach alice as alice
        << online alice | watched by 3
        >> 4 kill root enough
        << killed root by root: enough
        << quit root: Killed (root (enough)) | to nobody | from nowhere
    """,
    "the relay lets somebody in": """
        >> 1 attach alice
        >> 2 attach bob
        >> 2 let-in #den bob
        >> 1 join #den
        << joined #den alice
        >> 1 mode #den +k key
        << mode #den by alice: +k key
        >> 2 join #den
        !! ERR_BADCHANNELKEY #den
        >> 2 let-in #den bob
        << invited #den bob by relay.test
        >> 2 join #den
        << joined #den bob
        >> 2 let-in #den bob
    """,
    "the relay lets an account in that comes later": """
        >> 1 attach alice
        >> 1 join #den
        << joined #den alice
        >> 1 mode #den +i
        << mode #den by alice: +i
        >> 2 let-in #den bob
        << mode #den by relay.test: +I a:bob
        >> 2 let-in #den bob
        >> 3 attach bob as bob
        >> 3 join #den
        << joined #den bob
        >> 4 attach carol
        >> 4 join #den
        !! ERR_INVITEONLYCHAN #den
    """,
    "an operator bans a mask": """
        >> 1 attach alice as alice
        >> 2 attach alice as alice
        << sessions alice: 1 2
        >> 3 attach bob
        >> 4 attach root
        >> 4 kline - alice!*@* spam
        !! ERR_NOPRIVILEGES
        >> 4 unkline alice!*@*
        !! ERR_NOPRIVILEGES
        >> 4 oper
        << umode root: +o
        >> 1 join #den
        << joined #den alice
        >> 3 join #den
        << joined #den bob
        >> 4 kline - *!*@h4.ip spam
        !! FAIL BANS_YOU *!*@h4.ip
        >> 4 unkline alice!*@*
        !! FAIL NO_SUCH_BAN alice!*@*
        >> 4 kline - ALICE!*@* spam
        << K-line ALICE!*@*: 2 | to root
        << put off alice 1 2: You are banned from this relay: spam (Banned)
        << quit alice: Banned | to bob | from #den
        >> 1 detach closed
        >> 2 detach closed
        >> 5 attach Alice
        !! ERR_YOUREBANNEDCREEP: You are banned from this relay: spam
        >> 3 nick alice
        !! ERR_ERRONEUSNICKNAME alice: A ban covers this nickname
        >> 4 nick alice
        << nick root alice | to nobody
        >> 4 unkline alice!*@*
        << no K-line ALICE!*@* root | to alice
        >> 4 nick root
        << nick alice root | to nobody
        >> 5 attach Alice
    """,
    "a ban may cover some devices only": """
        >> 1 attach alice as alice from 192.0.2.1
        >> 2 attach alice as alice from 192.0.2.2 away out
        << sessions alice: 1 2
        >> 3 attach alice as alice from ::ffff:192.0.2.3
        << sessions alice: 1 2 3
        >> 0 kline - *!*@192.0.2.3 spam
        << K-line *!*@192.0.2.3: 1 | to nobody
        << put off alice 3: You are banned from this relay: spam (Banned)
        << sessions alice: 1 2
        >> 0 dline - 192.0.2.1 spam
        << D-line 192.0.2.1: 1 | to nobody
        << put off alice 1: You are banned from this relay: spam (Banned)
        << sessions alice: 2
        << away alice: out | to nobody
        >> 4 attach bob from 192.0.2.1
        !! ERR_YOUREBANNEDCREEP: You are banned from this relay: spam
        >> 4 attach bob from ::ffff:192.0.2.1
        !! ERR_YOUREBANNEDCREEP: You are banned from this relay: spam
        >> 4 attach bob from 192.0.2.3
        !! ERR_YOUREBANNEDCREEP: You are banned from this relay: spam
        >> 4 attach bob from 192.0.2.2
        >> 0 kline - *!*@h2.ip spam
        << K-line *!*@h2.ip: 1 | to nobody
        << put off alice 2: You are banned from this relay: spam (Banned)
        << quit alice: Banned | to nobody | from nowhere
    """,
    "who is always on": """
        >> 0 account alice
        >> 1 set alice always-on on
        << setting alice always-on: on
        >> 1 attach alice as alice from 192.0.2.1
        << setting alice presence: …
        >> 0 dline - 192.0.2.0/24 spam
        << D-line 192.0.2.0/24: 1 | to nobody
        << put off alice 1: You are banned from this relay: spam (Banned)
        << sessions alice:
        << away alice: Not here at the moment | to nobody
        << setting alice presence: …
        >> 0 kline - alice!*@* spam
        << K-line alice!*@*: 0 | to nobody
        << quit alice: Banned | to nobody | from nowhere
        << setting alice presence:
    """,
    "operators and loopback": """
        >> 1 attach alice
        >> 2 attach root from 192.0.2.1
        >> 2 oper
        << umode root: +o
        >> 3 attach chief from 192.0.2.2
        >> 3 oper
        << umode chief: +o
        >> 2 kline - chief!*@* spam
        << K-line chief!*@*: 0 | to root chief
        >> 0 dline - ::/0 spam
        << D-line ::/0: 0 | to root chief
        >> 4 attach bob from ::1
        >> 2 dline - 192.0.2.2 spam
        << D-line 192.0.2.2: 1 | to root chief
        << put off chief 3: You are banned from this relay: spam (Banned)
        << quit chief: Banned | to nobody | from nowhere
        >> 2 dline - 192.0.2.0/24 spam
        !! FAIL BANS_YOU 192.0.2.0/24
    """,
    "bans end": """
        >> 0 kline 3 x!*@* spam
        << K-line x!*@*: 0 | to nobody
        >> 0 dline 2 192.0.2.1 spam
        << D-line 192.0.2.1: 0 | to nobody
        >> 1 attach alice from 192.0.2.1
        !! ERR_YOUREBANNEDCREEP: You are banned from this relay: spam
        >> 1 attach alice from 192.0.2.1
        >> 2 attach x
        >> 0 unkline x!*@*
        !! FAIL NO_SUCH_BAN x!*@*
        >> 0 kline - y!*@* spam
        << no K-line x!*@* - | to nobody
        << no D-line 192.0.2.1 - | to nobody
        << K-line y!*@*: 0 | to nobody
        >> 0 kline 1 y!*@* spam
        << K-line y!*@*: 0 | to nobody
        >> 3 attach y
        >> 0 dline 1 192.0.2.1 spam
        << no K-line y!*@* - | to nobody
        << D-line 192.0.2.1: 1 | to nobody
        << put off alice 1: You are banned from this relay: spam (Banned)
        << quit alice: Banned | to nobody | from nowhere
        >> 0 dline - 192.0.2.2 spam
        << no D-line 192.0.2.1 - | to nobody
        << D-line 192.0.2.2: 0 | to nobody
        >> 0 undline 192.0.2.2
        << no D-line 192.0.2.2 root | to nobody
    """,
    "an account is suspended": """
        >> 0 account alice
        >> 1 attach alice as alice
        >> 1 set alice always-on on
        << setting alice always-on: on
        << setting alice presence: …
        >> 1 join #den
        << joined #den alice
        >> 2 attach bob
        >> 2 join #den
        << joined #den bob
        >> 3 attach wanderer as alice
        >> 0 close ALICE You are suspended
        << closed alice
        << put off alice 1: You are suspended (Account closed)
        << quit alice: Account closed | to bob | from #den
        << setting alice presence:
        << put off wanderer 3: You are suspended (Account closed)
        << quit wanderer: Account closed | to nobody | from nowhere
        >> 4 attach alice as alice
        !! ERR_YOUREBANNEDCREEP: This account may not be used
        >> 2 login alice
        !! ERR_SASLFAIL: This account may not be used
        >> 2 nick alice
        !! ERR_NICKNAMEINUSE alice: Nickname is registered: log in to its account, or choose another
        >> 0 account alice
        >> 4 attach alice as alice
        << setting alice presence: …
        >> 4 join #den
        << joined #den alice
        >> 4 mode #den +m
        << mode #den by alice: +m
    """,
    "a device is ended": """
        >> 1 attach alice as alice
        >> 2 attach alice as alice
        << sessions alice: 1 2
        >> 3 attach wanderer as alice
        >> 4 attach bob as bob
        >> 4 join #den
        << joined #den bob
        >> 1 join #den
        << joined #den alice
        >> 3 join #den
        << joined #den wanderer
        >> 2 end 1
        << ended 1 of alice
        << sessions alice: 2
        >> 2 end 1
        !! FAIL NO_SUCH_DEVICE 1
        >> 2 end 4
        !! FAIL NO_SUCH_DEVICE 4
        >> 2 end 3
        << ended 3 of alice
        << quit wanderer: Disconnected by another device | to bob alice | from #den
        >> 5 attach guest
        >> 5 end 5
        !! FAIL NO_SUCH_DEVICE 5
        >> 2 end 2
        << ended 2 of alice
        << quit alice: Disconnected by another device | to bob | from #den
    """,
    "an account is forgotten": """
        >> 0 account alice
        >> 1 attach alice as alice
        >> 1 set alice always-on on
        << setting alice always-on: on
        << setting alice presence: …
        >> 1 publish * avatar cat.png
        << metadata alice avatar: cat.png | to  | of alice
        >> 1 join #den
        << joined #den alice
        >> 1 join #own
        << joined #own alice
        >> 2 attach bob as bob
        >> 2 join #den
        << joined #den bob
        >> 2 join #hall
        << joined #hall bob
        >> 2 rank #hall alice +v
        << rank of alice in #hall by bob: +v
        >> 1 read bob 5
        << read bob 5 | to alice
        >> 0 forget alice Deleted
        << forgotten alice
        << put off alice 1: Deleted (Account closed)
        << quit alice: Account closed | to bob | from #den #own
        << setting alice presence:
        << owner of #den by alice: None
        << owner of #own by alice: None
        << forgotten alice in #hall
        << setting alice always-on:
        << metadata alice avatar:  | to  | of alice
        >> 3 attach wanderer as alice
        !! ERR_YOUREBANNEDCREEP: This account may not be used
        >> 2 nick alice
        << nick bob alice | to nobody
        >> 0 account alice
        << nick alice guest7 | to nobody
        >> 3 attach alice as alice
        >> 0 forget nobody Deleted
        << forgotten nobody
    """,
    "an operator says something to all who want it": """
        >> 1 attach alice
        >> 2 attach bob
        >> 3 attach root
        >> 1 umode +w
        << umode alice: +w
        >> 1 wallops hello
        !! ERR_NOPRIVILEGES
        >> 3 oper
        << umode root: +o
        >> 3 wallops hello
        << wallops root: hello | to alice
        >> 3 umode +w
        << umode root: +w
        >> 3 umode -o
        << umode root: -o
        >> 3 wallops hello
        !! ERR_NOPRIVILEGES
    """,
    "strangers do not write to whom has +R": """
        >> 1 attach alice
        >> 2 attach bob
        >> 3 attach carol as carol
        >> 4 attach root
        >> 4 oper
        << umode root: +o
        >> 1 umode +R
        << umode alice: +R
        >> 2 privmsg alice hello
        !! ERR_NEEDREGGEDNICK alice
        >> 2 tagmsg alice
        !! ERR_NEEDREGGEDNICK alice
        >> 3 privmsg alice hello
        << privmsg alice by carol: hello
        >> 4 privmsg alice hello
        << privmsg alice by root: hello
        >> 1 privmsg alice note
        << privmsg alice by alice: note
        >> 1 accept nobody
        !! ERR_NOSUCHNICK nobody
        >> 1 accept bob
        >> 2 privmsg alice hello
        << privmsg alice by bob: hello
        >> 1 accept -bob
        >> 2 privmsg alice hello
        !! ERR_NEEDREGGEDNICK alice
        >> 2 umode +R
        << umode bob: +R
        >> 1 privmsg bob hello
        !! ERR_NEEDREGGEDNICK bob
        >> 2 privmsg alice hello
        !! ERR_NEEDREGGEDNICK alice
        >> 2 umode -R
        << umode bob: -R
        >> 1 privmsg bob hello
        << privmsg bob by alice: hello
        >> 2 privmsg alice hello
        << privmsg alice by bob: hello
    """,
    "a user comes and goes": """
        >> 1 attach alice
        >> 1 detach bye
        << quit alice: bye | to nobody | from nowhere
        >> 2 attach alice
    """,
    "a nick is taken however it is written": """
        >> 1 attach alice
        >> 2 attach ALICE
        !! ERR_NICKNAMEINUSE ALICE
        >> 2 attach alice as alice
        !! ERR_NICKNAMEINUSE alice
        >> 2 attach bob
        >> 2 nick Alice
        !! ERR_NICKNAMEINUSE Alice
    """,
    "nicks are folded by ascii, so brackets differ from braces": """
        >> 1 attach a[
        >> 2 attach a{
        >> 3 attach A[
        !! ERR_NICKNAMEINUSE A[
    """,
    "a session that never attached detaches": """
        >> 7 detach gone
        >> 1 attach alice
        >> 7 detach gone
    """,
    "a change of nick is seen where the user is": """
        >> 1 attach alice
        >> 2 attach bob
        >> 3 attach carol
        >> 1 join #den
        << joined #den alice
        >> 2 join #den
        << joined #den bob
        >> 1 join #hall
        << joined #hall alice
        >> 2 join #hall
        << joined #hall bob
        >> 1 nick alison
        << nick alice alison | to bob
        >> 1 nick ALISON
        << nick alison ALISON | to bob
        >> 1 nick ALISON
        >> 3 nick alice
        << nick carol alice | to nobody
    """,
    "a session is told when nicks come and go that it watches": """
        >> 1 attach alice
        >> 1 watch bob Carol BOB
        >> 2 attach BOB
        << online BOB | watched by 1
        >> 3 attach eve
        >> 3 watch bob
        >> 1 watch dave eve
        << refused ERR_MONLISTFULL 2 dave,eve
        >> 2 nick Bob
        << nick BOB Bob | to nobody
        >> 2 nick carol
        << nick Bob carol | to nobody
        << offline Bob | watched by 1 3
        << online carol | watched by 1
        >> 1 unwatch bob dave
        >> 2 nick bob
        << nick carol bob | to nobody
        << offline carol | watched by 1
        << online bob | watched by 3
        >> 2 detach bye
        << quit bob: bye | to nobody | from nowhere
        << offline bob | watched by 3
        >> 3 detach bye
        << quit eve: bye | to nobody | from nowhere
        >> 4 attach bob
    """,
    "a watched nick is there as long as one session of it is": """
        >> 1 attach bob
        >> 1 watch alice
        >> 2 account alice
        >> 2 attach alice as alice
        << online alice | watched by 1
        >> 3 attach alice as alice
        << sessions alice: 2 3
        >> 2 detach bye
        << sessions alice: 3
        >> 3 detach bye
        << quit alice: bye | to nobody | from nowhere
        << offline alice | watched by 1
    """,
    "a guest who is displaced goes offline under the nick": """
        >> 1 attach bob
        >> 1 watch alice guest7
        >> 2 attach alice
        << online alice | watched by 1
        >> 3 attach carol
        >> 3 account alice
        << nick alice guest7 | to nobody
        << offline alice | watched by 1
        << online guest7 | watched by 1
    """,
    "what a user is changes for those who watch the nick too": """
        >> 1 attach bob
        >> 2 attach alice
        >> 1 watch alice
        >> 2 away out
        << away alice: out | to nobody | watched by 1
        >> 2 realname A
        << realname alice: A | to nobody | watched by 1
        >> 2 login alice
        << account alice: alice | to nobody | watched by 1
    """,
    "somebody is away when all their devices are": """
        >> 1 account alice
        >> 1 attach alice as alice
        >> 2 attach bob
        >> 1 join #den
        << joined #den alice
        >> 2 join #den
        << joined #den bob
        >> 3 attach alice as alice
        << sessions alice: 1 3
        >> 1 away at lunch
        >> 3 away on the way
        << away alice: on the way | to bob
        >> 1 away at tea
        << away alice: at tea | to bob
        >> 3 away
        << away alice:  | to bob
        >> 3 detach battery
        << sessions alice: 1
        << away alice: at tea | to bob
        >> 4 attach alice as alice
        << sessions alice: 1 4
        << away alice:  | to bob
        >> 4 away *
        << away alice: at tea | to bob
        >> 1 detach bye
        << sessions alice: 4
        << away alice: Not here at the moment | to bob
        >> 4 detach bye
        << quit alice: bye | to bob | from #den
    """,
    "a device may be away before it attaches": """
        >> 1 account alice
        >> 2 attach bob
        >> 2 watch alice
        >> 1 attach alice as alice away *
        << online alice | watched by 2
        << away alice: Not here at the moment | to nobody | watched by 2
        >> 3 attach alice as alice away fetching history
        << sessions alice: 1 3
        << away alice: fetching history | to nobody | watched by 2
        >> 4 attach alice as alice
        << sessions alice: 1 3 4
        << away alice:  | to nobody | watched by 2
    """,
    "a host that an operator gives is seen where the user is": """
        >> 1 attach alice
        >> 2 attach bob
        >> 1 join #den
        << joined #den alice
        >> 2 join #den
        << joined #den bob
        >> 2 watch alice
        >> 2 host ALICE example.org
        << host alice!~alice@h1.ip example.org | to bob | watched by 2
        >> 2 host alice example.org
        >> 2 host alice
        << host alice!~alice@example.org h1.ip | to bob | watched by 2
        >> 2 host carol example.org
        !! ERR_NOSUCHNICK carol
    """,
    "a host that an operator gives hides from no ban": """
        >> 1 attach alice
        >> 2 attach bob
        >> 1 join #den
        << joined #den alice
        >> 1 mode #den +b *!*@h2.ip
        << mode #den by alice: +b *!*@h2.ip
        >> 1 host bob example.org
        << host bob!~bob@h2.ip example.org | to nobody
        >> 2 join #den
        !! ERR_BANNEDFROMCHAN #den
        >> 1 mode #den -b *!*@h2.ip
        << mode #den by alice: -b *!*@h2.ip
        >> 1 mode #den +b *!*@example.org
        << mode #den by alice: +b *!*@example.org
        >> 2 join #den
        !! ERR_BANNEDFROMCHAN #den
    """,
    "an account keeps its host": """
        >> 1 account Alice
        >> 1 attach alice as Alice
        >> 1 host alice example.org
        << setting alice host: example.org
        << host alice!~alice@h1.ip example.org | to nobody
        >> 1 detach bye
        << quit alice: bye | to nobody | from nowhere
        >> 2 attach alice as Alice
        >> 3 attach guest
        >> 3 login Alice
        << account guest: Alice | to nobody
        << host guest!~guest@h3.ip example.org | to nobody
        >> 3 host alice
        << setting alice host:
        << host alice!~alice@example.org h2.ip | to nobody
    """,
    "a read marker only moves forward, and not into the future": """
        >> 1 attach alice as Alice
        >> 2 attach alice as Alice
        << sessions alice: 1 2
        >> 3 attach alison as Alice
        >> 4 attach bob
        >> 1 read #Den 20
        << read #Den 20 | to alice alison
        >> 3 read #den 19
        >> 3 read #den 20
        >> 3 read #den 21
        << read #den 21 | to alice alison
        >> 2 read Bob 99999999
        << read Bob 8000 | to alice alison
        >> 4 read #den 5
        << read #den 5 | to bob
    """,
    "who said it may delete it, and in a room its operators": """
        >> 1 attach alice
        >> 2 attach bob
        >> 3 attach root
        >> 1 join #den
        << joined #den alice
        >> 2 join #den
        << joined #den bob
        >> 2 redact #den m1 own my fault
        << redacted m1 by bob: my fault | to ['#den']
        >> 2 redact #den m2 others
        !! ERR_CHANOPRIVSNEEDED #den
        >> 1 redact #den m2 others
        << redacted m2 by alice:  | to ['#den']
        >> 3 redact #den m3 others
        !! ERR_CHANOPRIVSNEEDED #den
        >> 3 oper
        << umode root: +o
        >> 3 redact #den m3 others
        << redacted m3 by root:  | to ['#den']
        >> 1 redact bob m4 own
        << redacted m4 by alice:  | to ['bob']
        >> 1 redact gone m5 own
        << redacted m5 by alice:  | to []
        >> 3 redact bob m6 others
        !! ERR_CHANOPRIVSNEEDED bob
        >> 1 redact #gone m7 own
        !! ERR_NOSUCHCHANNEL #gone
    """,
    "an account has settings": """
        >> 1 attach alice
        >> 1 set Alice colour green
        << setting alice colour: green
        >> 1 set alice colour green
        >> 1 set alice colour
        << setting alice colour:
        >> 1 set alice colour
    """,
    "who is always on stays in the rooms when the last device leaves": """
        >> 1 account alice
        >> 1 attach alice as alice
        >> 2 attach bob
        >> 2 watch alice
        >> 1 join #den
        << joined #den alice
        >> 2 join #den
        << joined #den bob
        >> 1 set alice always-on on
        << setting alice always-on: on
        << setting alice presence: …
        >> 1 oper
        << umode alice: +o
        >> 1 detach bye
        << sessions alice:
        << away alice: Not here at the moment | to bob | watched by 2
        << setting alice presence: …
        >> 2 privmsg alice are you there
        << privmsg alice by bob: are you there
        >> 3 attach alice as alice
        << sessions alice: 3
        << away alice:  | to bob | watched by 2
        << setting alice presence: …
        >> 3 umode -o
        >> 3 topic #den hello
        << topic #den by alice: hello
        >> 4 attach alice as alice
        << sessions alice: 3 4
        >> 3 set alice always-on off
        << setting alice always-on: off
        << setting alice presence:
        >> 3 detach bye
        << sessions alice: 4
        >> 4 detach bye
        << quit alice: bye | to bob | from #den
        << offline alice | watched by 2
    """,
    "only the nick of the account stays": """
        >> 1 account alice
        >> 1 attach alice_ as alice
        >> 1 set alice always-on on
        << setting alice always-on: on
        >> 1 nick alice
        << nick alice_ alice | to nobody
        << setting alice presence: …
        >> 1 nick alison
        << nick alice alison | to nobody
        << setting alice presence:
        >> 1 detach bye
        << quit alison: bye | to nobody | from nowhere
    """,
    "a guest who logs in under the nick is always on from then": """
        >> 1 set alice always-on on
        << setting alice always-on: on
        >> 1 attach alice
        >> 1 login alice
        << account alice: alice | to nobody
        << setting alice presence: …
    """,
    "somebody without a device can be kicked, and the wish be withdrawn": """
        >> 1 account alice
        >> 1 attach alice as alice
        >> 1 set alice always-on on
        << setting alice always-on: on
        << setting alice presence: …
        >> 2 attach bob
        >> 2 join #den
        << joined #den bob
        >> 1 join #den
        << joined #den alice
        >> 1 detach bye
        << sessions alice:
        << away alice: Not here at the moment | to bob
        << setting alice presence: …
        >> 2 kick #den alice out
        << kicked #den alice by bob: out
        >> 2 set alice always-on
        << setting alice always-on:
        << quit alice: No longer always on | to nobody | from nowhere
        << setting alice presence:
    """,
    "after a restart they are there again, until it has been too long": f"""
        >> 0 account Alice
        >> 0 account Bob
        >> 0 account Carol
        >> 0 set alice always-on on
        << setting alice always-on: on
        >> 0 set bob always-on on
        << setting bob always-on: on
        >> 1 attach dave
        >> 1 watch alice
        >> 0 restore Alice {START_MS - STEP_MS}
        << online Alice | watched by 1
        << away Alice: Not here at the moment | to nobody | watched by 1
        << setting alice presence: …
        >> 0 restore Bob 0
        << away Bob: Not here at the moment | to nobody
        << setting bob presence: …
        >> 0 restore Bob 0
        >> 0 restore Carol 0
        >> 2 attach alice as Carol
        !! ERR_NICKNAMEINUSE alice: {NickReserved("").text}
        >> 0 expire {START_MS}
        << quit Alice: Gone for too long | to nobody | from nowhere
        << offline Alice | watched by 1
        << setting alice presence:
        >> 3 attach bob as Bob
        << sessions Bob: 3
        << away Bob:  | to nobody
        << setting bob presence: …
        >> 0 expire {START_MS + 100 * STEP_MS}
    """,
    "metadata is told to those who have subscribed and hear of the user": """
        >> 1 attach alice
        >> 2 attach bob
        >> 3 attach carol
        >> 4 attach dave
        >> 1 subscribe avatar colour size
        >> 2 subscribe avatar
        >> 3 subscribe avatar
        >> 4 subscribe avatar
        >> 1 join #den
        << joined #den alice
        >> 2 join #den
        << joined #den bob
        >> 3 watch alice
        >> 1 publish * avatar cat.png
        << metadata alice avatar: cat.png | to 2 3 | of a guest
        >> 1 publish alice avatar cat.png
        >> 1 publish #den avatar den.png
        << metadata #den avatar: den.png | to 2 | of id
        >> 2 publish #den colour red
        !! FAIL KEY_NO_PERMISSION #den colour
        >> 2 publish alice colour red
        !! FAIL KEY_NO_PERMISSION alice colour
        >> 2 publish nobody colour red
        !! FAIL INVALID_TARGET nobody
        >> 1 publish * colour red
        << metadata alice colour: red | to  | of a guest
        >> 1 publish * size big
        !! FAIL LIMIT_REACHED * 2
        >> 2 unsubscribe avatar other
        >> 1 unpublish *
        << metadata alice avatar:  | to 3 | of a guest
        << metadata alice colour:  | to  | of a guest
        >> 1 publish * size big
        << metadata alice size: big | to  | of a guest
        >> 1 mode #den +i
        << mode #den by alice: +i
        >> 3 publish #den colour red
        !! FAIL INVALID_TARGET #den
    """,
    "an account keeps its metadata, on all devices": """
        >> 1 attach alice
        >> 1 publish * avatar cat.png
        << metadata alice avatar: cat.png | to  | of a guest
        >> 1 login alice
        << account alice: alice | to nobody
        << metadata alice avatar: cat.png | to  | of alice
        >> 2 attach alice as alice
        << sessions alice: 1 2
        >> 2 subscribe avatar
        >> 1 publish * avatar dog.png
        << metadata alice avatar: dog.png | to 2 | of alice
        >> 2 publish * avatar
        << metadata alice avatar:  | to  | of alice
        >> 2 detach bye
        << sessions alice: 1
        >> 1 publish * avatar dog.png
        << metadata alice avatar: dog.png | to  | of alice
    """,
    "a registered nick is for its account alone": f"""
        >> 1 account Alice
        >> 2 attach alice
        !! ERR_NICKNAMEINUSE alice: {NickReserved("").text}
        >> 2 attach alice as Bob
        !! ERR_NICKNAMEINUSE alice: {NickReserved("").text}
        >> 3 attach guest
        >> 3 nick ALICE
        !! ERR_NICKNAMEINUSE ALICE: {NickReserved("").text}
        >> 2 attach alice as Alice
        >> 3 login Alice
        << account guest: Alice | to nobody
        >> 3 nick alice
        !! ERR_NICKNAMEINUSE alice
        >> 2 detach bye
        << quit alice: bye | to nobody | from nowhere
        >> 3 nick alice
        << nick guest alice | to nobody
    """,
    "several sessions are one user until the last has gone": """
        >> 1 account alice
        >> 1 attach alice as alice
        >> 1 join #den
        << joined #den alice
        >> 2 attach bob
        >> 2 join #den
        << joined #den bob
        >> 3 attach Alice as alice
        << sessions alice: 1 3
        >> 3 join #den
        >> 3 privmsg #den from the phone
        << privmsg #den by alice: from the phone
        >> 1 detach desk closed
        << sessions alice: 3
        >> 4 attach alice as alice
        << sessions alice: 3 4
        >> 3 detach battery
        << sessions alice: 4
        >> 4 privmsg bob still here
        << privmsg bob by alice: still here
        >> 4 mode #den +v bob
        << mode #den by alice: +v bob
        >> 4 detach good night
        << quit alice: good night | to bob | from #den
        >> 5 attach alice as alice
        >> 5 join #den
        << joined #den alice
        >> 5 topic #den mine
        << topic #den by alice: mine
    """,
    "a channel is renamed and stays the same": """
        >> 1 account alice
        >> 1 attach alice as alice
        >> 2 attach bob
        >> 1 join #den
        << joined #den alice
        >> 2 join #den
        << joined #den bob
        >> 2 join #hall
        << joined #hall bob
        >> 1 rename #nowhere #yard
        !! ERR_NOSUCHCHANNEL #nowhere
        >> 1 rename #hall #yard
        !! ERR_NOTONCHANNEL #hall
        >> 1 mode #den +ob bob x!*@*
        << mode #den by alice: +ob bob x!*@*
        >> 2 rename #den #yard
        !! ERR_CHANOPRIVSNEEDED #den
        >> 1 rename #den #Hall
        !! ERR_UNKNOWNERROR RENAME: The channel name is already taken
        >> 1 rename #den #DEN
        << renamed #den #DEN by alice:
        >> 1 rename #den #DEN
        >> 1 rename #den #yard more room
        << renamed #DEN #yard by alice: more room
        >> 2 privmsg #yard hello
        << privmsg #yard by bob: hello
        >> 2 privmsg #den hello
        !! ERR_NOSUCHCHANNEL #den
        >> 2 join #den
        << joined #den bob
        >> 2 rename #hall #lobby
        << renamed #hall #lobby by bob:
        >> 2 detach bye
        << quit bob: bye | to alice | from #yard #den #lobby
    """,
    "a room of an account outlives its members and gives ranks back": f"""
        >> 1 account alice
        >> 2 account bob
        >> 1 attach alice as alice
        >> 2 attach bob as bob
        >> 3 attach carol
        >> 1 join #den
        << joined #den alice
        >> 2 join #den
        << joined #den bob
        >> 3 join #den
        << joined #den carol
        >> 1 mode #den +avik bob carol beer
        << mode #den by alice: +avik bob carol beer
        >> 2 part #den
        << parted #den bob:
        >> 3 part #den
        << parted #den carol:
        >> 1 part #den
        << parted #den alice:
        >> 3 join #den
        !! ERR_INVITEONLYCHAN #den
        >> 2 join #den
        << joined #den bob
        >> 2 mode #den -ik *
        << mode #den by bob: -ik *
        >> 3 join #den
        << joined #den carol
        >> 3 topic #den mine
        !! ERR_CHANOPRIVSNEEDED #den
        >> 2 topic #den ours
        << topic #den by bob: ours
        >> 1 join #den
        << joined #den alice
        >> 1 mode #den +q bob
        << mode #den by alice: +q bob
        >> 2 mode #den -q alice
        << refused ERR_CHANOPRIVSNEEDED #den: The channel is theirs
        >> 2 kick #den alice out
        !! ERR_CHANOPRIVSNEEDED #den: The channel is theirs
        >> 1 mode #den -qo alice alice
        << mode #den by alice: -qo alice alice
        >> 1 part #den
        << parted #den alice:
        >> 2 mode #den +ib *!*@*
        << mode #den by bob: +ib *!*@*
        >> 1 join #den
        << joined #den alice
        >> 1 mode #den -qa bob bob
        << mode #den by alice: -qa bob bob
        >> 1 join #b
        << joined #b alice
        >> 1 join #c
        !! ERR_TOOMANYCHANNELS #c: {belonging._TOO_MANY}
    """,
    "a guests' room is claimed, ranked, passed on and dropped": f"""
        >> 1 account alice
        >> 2 account bob
        >> 1 attach alison
        >> 2 attach bob as bob
        >> 1 join #den
        << joined #den alison
        >> 2 join #den
        << joined #den bob
        >> 2 claim #den
        !! ERR_CHANOPRIVSNEEDED #den
        >> 1 claim #den
        !! ERR_CHANOPRIVSNEEDED #den
        >> 1 login alice
        << account alison: alice | to bob
        >> 1 claim #nowhere
        !! ERR_NOSUCHCHANNEL #nowhere
        >> 1 mode #den +v bob
        << mode #den by alison: +v bob
        >> 1 claim #den
        << owner of #den by alison: alice
        << mode #den by alison: +q alison
        >> 1 claim #den
        !! ERR_CHANOPRIVSNEEDED #den
        >> 2 rank #den bob +o
        !! ERR_CHANOPRIVSNEEDED #den
        >> 1 rank #den bob +h
        << rank of bob in #den by alison: +h
        << mode #den by alison: +h bob
        >> 1 rank #den bob +h
        >> 1 rank #den nobody +h
        !! ERR_NOSUCHNICK nobody
        >> 1 rank #nowhere bob +h
        !! ERR_NOSUCHCHANNEL #nowhere
        >> 2 rank #den alice -o
        !! ERR_CHANOPRIVSNEEDED #den
        >> 2 rank #den bob -v
        << rank of bob in #den by bob: -v
        << mode #den by bob: -v bob
        >> 2 part #den
        << parted #den bob:
        >> 1 rank #den bob +a
        << rank of bob in #den by alison: +a
        >> 1 rank #den alice -q
        !! ERR_CHANOPRIVSNEEDED #den
        >> 2 transfer #den bob
        !! ERR_CHANOPRIVSNEEDED #den
        >> 1 transfer #nowhere bob
        !! ERR_NOSUCHCHANNEL #nowhere
        >> 1 transfer #den nobody
        !! ERR_NOSUCHNICK nobody
        >> 1 transfer #den alice
        >> 1 transfer #den bob
        !! ERR_USERNOTINCHANNEL bob #den
        >> 2 join #den
        << joined #den bob
        >> 1 transfer #den bob
        << owner of #den by alison: bob
        << mode #den by alison: -q+qo alison bob bob
        >> 2 part #den
        << parted #den bob:
        >> 1 drop #den
        !! ERR_CHANOPRIVSNEEDED #den
        >> 1 part #den
        << parted #den alison:
        >> 3 attach carol
        >> 3 join #den
        << joined #den carol
        >> 3 part #den
        << parted #den carol:
        >> 1 retain #den 7
        !! ERR_CHANOPRIVSNEEDED #den
        >> 1 retain #nowhere 7
        !! ERR_NOSUCHCHANNEL #nowhere
        >> 2 retain #den 7
        << history of #den by bob: 7
        >> 2 retain #den 7
        >> 3 oper
        << umode carol: +o
        >> 3 retain #den
        << history of #den by carol: None
        >> 3 transfer #den alice
        << owner of #den by carol: alice
        >> 1 drop #den
        << owner of #den by alison: None
        >> 1 mode #den +i
        !! ERR_NOSUCHCHANNEL #den
        >> 1 join #b
        << joined #b alison
        >> 1 join #c
        << joined #c alison
        >> 2 join #d
        << joined #d bob
        >> 1 join #d
        << joined #d alison
        >> 2 transfer #d alice
        !! ERR_TOOMANYCHANNELS #d: {belonging._TOO_MANY}
        >> 1 drop #c
        << owner of #c by alison: None
        >> 1 part #c
        << parted #c alison:
        >> 1 mode #c +i
        !! ERR_NOSUCHCHANNEL #c
    """,
    "a session of an account attaches under another nick of it too": """
        >> 1 account alice
        >> 1 attach alice_ as alice
        >> 2 attach alice_ as alice
        << sessions alice_: 1 2
        >> 3 attach alice as alice
        >> 3 attach alice_ as bob
        !! ERR_NICKNAMEINUSE alice_
    """,
    "a login is seen where the user is, once": """
        >> 1 attach alice
        >> 1 join #den
        << joined #den alice
        >> 2 attach bob
        >> 2 join #den
        << joined #den bob
        >> 1 login alice
        << account alice: alice | to bob
        >> 1 login alice
        >> 1 login alison
        << account alice: alison | to bob
    """,
    "who logs in to another account leaves the nick, ranks and host of the first with it": """
        >> 1 account alice
        >> 2 account bob
        >> 1 attach alice as alice
        >> 2 attach carol
        >> 1 join #den
        << joined #den alice
        >> 2 join #den
        << joined #den carol
        >> 1 login bob
        << account alice: bob | to carol
        << mode #den by alice: -o alice
        << nick alice bob | to carol
        >> 1 mode #den +m
        << refused ERR_CHANOPRIVSNEEDED #den
        >> 3 attach alice as alice
        >> 3 join #den
        << joined #den alice
        >> 1 login bob
        >> 2 login bob
        << account carol: bob | to bob alice
        >> 1 login alice
        << account bob: alice | to carol alice
        << mode #den by bob: +qo bob bob
        << nick bob guest8 | to carol alice
    """,
    "what devices share, and who stays without any, is not given another account": """
        >> 1 account alice
        >> 1 account bob
        >> 1 attach alice as alice
        >> 2 attach alice as alice
        << sessions alice: 1 2
        >> 1 login bob
        !! ERR_SASLALREADY: Other devices of yours have the account that you have; disconnect them
        >> 2 detach bye
        << sessions alice: 1
        >> 1 set alice always-on on
        << setting alice always-on: on
        << setting alice presence: …
        >> 1 login bob
        !! ERR_SASLALREADY: Your account is always on: connect anew, or first SET always-on off
    """,
    "real name and absence are seen where the user is": """
        >> 1 attach alice
        >> 2 attach bob
        >> 1 join #den
        << joined #den alice
        >> 2 join #den
        << joined #den bob
        >> 2 realname Bob the Second
        << realname bob: Bob the Second | to alice
        >> 2 away at lunch
        << away bob: at lunch | to alice
        >> 2 away at lunch
        >> 2 away
        << away bob:  | to alice
        >> 2 away
    """,
    "modes of a user": """
        >> 1 attach alice
        >> 1 umode +i
        << umode alice: +i
        >> 1 umode +i
        >> 1 umode +o
        >> 1 umode -o
        >> 1 oper
        << umode alice: +o
        >> 1 oper
        >> 1 umode -i+i-o
        << umode alice: -i+i-o
    """,
    "who makes a channel is its operator": """
        >> 1 attach alice
        >> 2 attach bob
        >> 1 join #Den
        << joined #Den alice
        >> 1 join #den
        >> 2 join #DEN
        << joined #Den bob
        >> 2 topic #den mine
        !! ERR_CHANOPRIVSNEEDED #Den
        >> 1 topic #den ours
        << topic #Den by alice: ours
        >> 1 part #den bye for now
        << parted #Den alice: bye for now
        >> 2 part #den
        << parted #Den bob:
        >> 2 join #den
        << joined #den bob
        >> 2 topic #den mine
        << topic #den by bob: mine
    """,
    "a topic is cleared, and open to all without +t": """
        >> 1 attach alice
        >> 2 attach bob
        >> 1 join #den
        << joined #den alice
        >> 2 topic #den hello
        !! ERR_NOTONCHANNEL #den
        >> 2 topic #nowhere hello
        !! ERR_NOSUCHCHANNEL #nowhere
        >> 2 join #den
        << joined #den bob
        >> 1 mode #den -t
        << mode #den by alice: -t
        >> 2 topic #den hello
        << topic #den by bob: hello
        >> 2 topic #den
        << topic #den by bob:
    """,
    "leaving what one is not in": """
        >> 1 attach alice
        >> 2 attach bob
        >> 1 join #den
        << joined #den alice
        >> 2 part #den
        !! ERR_NOTONCHANNEL #den
        >> 2 part #nowhere
        !! ERR_NOSUCHCHANNEL #nowhere
    """,
    "channels per user": """
        >> 1 attach alice
        >> 1 join #1
        << joined #1 alice
        >> 1 join #2
        << joined #2 alice
        >> 1 join #3
        << joined #3 alice
        >> 1 join #4
        !! ERR_TOOMANYCHANNELS #4
        >> 1 join #3
        >> 1 part #1
        << parted #1 alice:
        >> 1 join #4
        << joined #4 alice
    """,
    "kicks": """
        >> 1 attach alice
        >> 2 attach bob
        >> 3 attach carol
        >> 1 join #den
        << joined #den alice
        >> 2 join #den
        << joined #den bob
        >> 2 kick #den alice no
        !! ERR_CHANOPRIVSNEEDED #den
        >> 3 kick #den alice no
        !! ERR_NOTONCHANNEL #den
        >> 1 kick #nowhere bob no
        !! ERR_NOSUCHCHANNEL #nowhere
        >> 1 kick #den nobody no
        !! ERR_NOSUCHNICK nobody
        >> 1 kick #den carol no
        !! ERR_USERNOTINCHANNEL carol #den
        >> 1 kick #DEN BOB enough for today
        << kicked #den bob by alice: enough for today
        >> 2 privmsg #den why
        !! ERR_CANNOTSENDTOCHAN #den: Cannot send to channel (+n)
        >> 2 join #den
        << joined #den bob
        >> 1 kick #den alice out
        << kicked #den alice by alice: out
    """,
    "invitations": """
        >> 1 attach alice
        >> 2 attach bob
        >> 3 attach carol
        >> 1 join #den
        << joined #den alice
        >> 1 invite #den nobody
        !! ERR_NOSUCHNICK nobody
        >> 2 invite #den carol
        !! ERR_NOTONCHANNEL #den
        >> 2 invite #nowhere carol
        !! ERR_NOSUCHCHANNEL #nowhere
        >> 2 join #den
        << joined #den bob
        >> 2 invite #den ALICE
        !! ERR_USERONCHANNEL alice #den
        >> 2 invite #den carol
        << invited #den carol by bob
        >> 1 mode #den +i
        << mode #den by alice: +i
        >> 2 invite #den carol
        !! ERR_CHANOPRIVSNEEDED #den
        >> 3 join #den
        !! ERR_INVITEONLYCHAN #den
        >> 1 invite #den carol
        << invited #den carol by alice
        >> 3 nick carla
        << nick carol carla | to nobody
        >> 3 join #den
        << joined #den carla
    """,
    "an invitation ends with the user": """
        >> 1 attach alice
        >> 2 attach bob
        >> 1 join #den
        << joined #den alice
        >> 1 mode #den +i
        << mode #den by alice: +i
        >> 1 invite #den bob
        << invited #den bob by alice
        >> 2 detach bye
        << quit bob: bye | to nobody | from nowhere
        >> 3 attach bob
        >> 3 join #den
        !! ERR_INVITEONLYCHAN #den
    """,
    "keys": """
        >> 1 attach alice
        >> 2 attach bob
        >> 1 join #den
        << joined #den alice
        >> 1 mode #den +k Secret
        << mode #den by alice: +k Secret
        >> 2 join #den
        !! ERR_BADCHANNELKEY #den
        >> 2 join #den secret
        !! ERR_BADCHANNELKEY #den
        >> 2 join #den Secret
        << joined #den bob
        >> 1 mode #den +k Secret
        >> 1 mode #den +k other
        << mode #den by alice: +k other
        >> 1 mode #den -k wrong
        << mode #den by alice: -k *
        >> 1 mode #den -k wrong
    """,
    "limits": """
        >> 1 attach alice
        >> 2 attach bob
        >> 3 attach carol
        >> 1 join #den
        << joined #den alice
        >> 1 mode #den +l 2
        << mode #den by alice: +l 2
        >> 2 join #den
        << joined #den bob
        >> 3 join #den
        !! ERR_CHANNELISFULL #den
        >> 1 mode #den +l 1
        << mode #den by alice: +l 1
        >> 1 mode #den -l
        << mode #den by alice: -l
        >> 1 mode #den -l
        >> 3 join #den
        << joined #den carol
    """,
    "bans": """
        >> 1 attach alice
        >> 2 attach bob
        >> 1 join #den
        << joined #den alice
        >> 1 mode #den +b BOB!*@*
        << mode #den by alice: +b BOB!*@*
        >> 1 mode #den +b bob!*@*
        >> 2 join #den
        !! ERR_BANNEDFROMCHAN #den
        >> 1 mode #den +b *!*@h9.ip
        << mode #den by alice: +b *!*@h9.ip
        >> 1 mode #den +b c!*@*
        << refused ERR_BANLISTFULL #den b
        >> 1 mode #den -b bob!*@*
        << mode #den by alice: -b BOB!*@*
        >> 1 mode #den -b bob!*@*
        >> 2 join #den
        << joined #den bob
    """,
    "an operator's invitation opens every lock once, a member's none": """
        >> 1 attach alice
        >> 2 attach bob
        >> 3 attach carol
        >> 1 join #den
        << joined #den alice
        >> 2 join #den
        << joined #den bob
        >> 1 mode #den +blkR carol!*@* 1 beer
        << mode #den by alice: +blkR carol!*@* 1 beer
        >> 2 invite #den carol
        << invited #den carol by bob
        >> 3 join #den
        !! ERR_BANNEDFROMCHAN #den
        >> 1 mode #den +ih bob
        << mode #den by alice: +ih bob
        >> 2 invite #den carol
        << invited #den carol by bob
        >> 3 join #den
        << joined #den carol
        >> 3 part #den
        << parted #den carol:
        >> 1 mode #den -b carol!*@*
        << mode #den by alice: -b carol!*@*
        >> 3 join #den
        !! ERR_NEEDREGGEDNICK #den: Cannot join channel (+R): log in to an account first
        >> 3 login carol
        << account carol: carol | to nobody
        >> 3 join #den
        !! ERR_INVITEONLYCHAN #den
        >> 1 mode #den +I a:Carol
        << mode #den by alice: +I a:Carol
        >> 3 join #den
        !! ERR_BADCHANNELKEY #den
        >> 3 join #den beer
        !! ERR_CHANNELISFULL #den
    """,
    "exceptions from bans, of masks and of accounts": """
        >> 1 attach alice
        >> 2 attach bob
        >> 2 login Robert
        << account bob: Robert | to nobody
        >> 1 join #den
        << joined #den alice
        >> 1 mode #den +b a:robert
        << mode #den by alice: +b a:robert
        >> 2 join #den
        !! ERR_BANNEDFROMCHAN #den
        >> 1 mode #den +e m:a:robert
        << mode #den by alice: +e m:a:robert
        >> 2 join #den
        !! ERR_BANNEDFROMCHAN #den
        >> 1 mode #den +e a:robert
        << refused ERR_BANLISTFULL #den e
        >> 1 mode #den -e+e M:A:ROBERT a:robert
        << mode #den by alice: -e+e m:a:robert a:robert
        >> 2 join #den
        << joined #den bob
        >> 2 privmsg #den hello
        << privmsg #den by bob: hello
        >> 1 mode #den -e a:robert
        << mode #den by alice: -e a:robert
        >> 2 privmsg #den hello
        !! ERR_CANNOTSENDTOCHAN #den: Cannot send to channel (+b)
        >> 1 mode #den -b+b a:Robert m:a:robert
        << mode #den by alice: -b+b a:robert m:a:robert
        >> 2 privmsg #den hello
        !! ERR_CANNOTSENDTOCHAN #den: Cannot send to channel (+b)
        >> 2 part #den
        << parted #den bob:
        >> 2 join #den
        << joined #den bob
        >> 1 mode #den +e m:*!*@h2.ip
        << mode #den by alice: +e m:*!*@h2.ip
        >> 2 privmsg #den hello
        << privmsg #den by bob: hello
    """,
    "what may be said, and by whom": """
        >> 1 attach alice
        >> 2 attach bob
        >> 1 join #den
        << joined #den alice
        >> 2 join #den
        << joined #den bob
        >> 1 mode #den +C
        << mode #den by alice: +C
        >> 1 privmsg #den \x01VERSION\x01
        !! ERR_CANNOTSENDTOCHAN #den: Cannot send to channel (+C)
        >> 1 privmsg #den \x01ACTION waves\x01
        << privmsg #den by alice: \x01ACTION waves\x01
        >> 1 mode #den +M
        << mode #den by alice: +M
        >> 2 privmsg #den hello
        !! ERR_CANNOTSENDTOCHAN #den: Cannot send to channel (+M)
        >> 1 mode #den +R-M
        << mode #den by alice: +R-M
        >> 2 privmsg #den hello
        !! ERR_CANNOTSENDTOCHAN #den: Cannot send to channel (+R)
        >> 1 mode #den +v bob
        << mode #den by alice: +v bob
        >> 2 privmsg #den hello
        << privmsg #den by bob: hello
        >> 1 mode #den -v bob
        << mode #den by alice: -v bob
        >> 2 login bob
        << account bob: bob | to alice
        >> 2 privmsg #den hello
        << privmsg #den by bob: hello
    """,
    "a ban takes back an invitation that was before it": """
        >> 1 attach alice
        >> 2 attach bob
        >> 3 attach carol
        >> 1 join #den
        << joined #den alice
        >> 1 mode #den +i
        << mode #den by alice: +i
        >> 1 invite #den bob
        << invited #den bob by alice
        >> 1 invite #den carol
        << invited #den carol by alice
        >> 1 mode #den +bb bob!*@* m:carol!*@*
        << mode #den by alice: +bb bob!*@* m:carol!*@*
        >> 2 join #den
        !! ERR_BANNEDFROMCHAN #den
        >> 3 join #den
        << joined #den carol
        >> 1 invite #den bob
        << invited #den bob by alice
        >> 2 join #den
        << joined #den bob
    """,
    "who may not speak says nothing by other ways either": """
        >> 1 attach alice
        >> 2 attach bob
        >> 1 join #den
        << joined #den alice
        >> 2 join #den
        << joined #den bob
        >> 1 mode #den -t+b m:bob!*@*
        << mode #den by alice: -t+b m:bob!*@*
        >> 2 tagmsg #den
        !! ERR_CANNOTSENDTOCHAN #den: Cannot send to channel (+b)
        >> 2 privmsg @#den hello
        !! ERR_CANNOTSENDTOCHAN #den: Cannot send to channel (+b)
        >> 2 topic #den hello
        !! ERR_CHANOPRIVSNEEDED #den
        >> 2 nick hello
        !! ERR_BANONCHAN hello #den
        >> 2 redact #den m1 own hello
        << redacted m1 by bob:  | to ['#den']
        >> 1 mode #den +v bob
        << mode #den by alice: +v bob
        >> 2 topic #den tea
        << topic #den by bob: tea
        >> 1 mode #den -vb+m bob m:bob!*@*
        << mode #den by alice: -vb+m bob m:bob!*@*
        >> 2 nick bobby
        << nick bob bobby | to alice
        >> 2 topic #den hello
        !! ERR_CHANOPRIVSNEEDED #den
        >> 2 part #den hello
        << parted #den bobby:
    """,
    "who is muted is known anew when masks or people change": """
        >> 1 attach alice
        >> 2 attach bob
        >> 1 join #den
        << joined #den alice
        >> 2 join #den
        << joined #den bob
        >> 1 mode #den +b m:bobby!*@*
        << mode #den by alice: +b m:bobby!*@*
        >> 2 privmsg #den hello
        << privmsg #den by bob: hello
        >> 2 nick bobby
        << nick bob bobby | to alice
        >> 2 privmsg #den hello
        !! ERR_CANNOTSENDTOCHAN #den: Cannot send to channel (+b)
        >> 1 mode #den +e m:a:bob
        << mode #den by alice: +e m:a:bob
        >> 2 privmsg #den hello
        !! ERR_CANNOTSENDTOCHAN #den: Cannot send to channel (+b)
        >> 2 login bob
        << account bobby: bob | to alice
        >> 2 privmsg #den hello
        << privmsg #den by bobby: hello
        >> 1 mode #den -e m:a:bob
        << mode #den by alice: -e m:a:bob
        >> 2 privmsg #den hello
        !! ERR_CANNOTSENDTOCHAN #den: Cannot send to channel (+b)
        >> 1 mode #den -b m:bobby!*@*
        << mode #den by alice: -b m:bobby!*@*
        >> 2 privmsg #den hello
        << privmsg #den by bobby: hello
    """,
    "a message to a rank and those above it": """
        >> 1 attach alice
        >> 2 attach bob
        >> 1 join #den
        << joined #den alice
        >> 1 privmsg @#DEN for operators
        << privmsg #den to +o by alice: for operators
        >> 1 notice @+#den for all with a rank
        << notice #den to +v by alice: for all with a rank
        >> 2 privmsg ~#den hello
        !! ERR_CANNOTSENDTOCHAN #den: Cannot send to channel (+n)
        >> 2 privmsg ~#nowhere hello
        !! ERR_NOSUCHCHANNEL #nowhere
        >> 2 privmsg ~alice hello
        !! ERR_NOSUCHNICK ~alice
    """,
    "nobody acts against one who stands higher": """
        >> 1 attach alice
        >> 2 attach bob
        >> 3 attach carol
        >> 1 join #den
        << joined #den alice
        >> 2 join #den
        << joined #den bob
        >> 3 join #den
        << joined #den carol
        >> 1 mode #den +qao bob bob bob
        << mode #den by alice: +o bob
        << refused ERR_CHANOPRIVSNEEDED #den
        >> 1 mode #den +hv-o carol carol bob
        << mode #den by alice: +hv-o carol carol bob
        >> 1 mode #den +h bob
        << mode #den by alice: +h bob
        >> 2 mode #den -v carol
        << refused ERR_CHANOPRIVSNEEDED #den: Their rank is not below yours
        >> 2 kick #den carol out
        !! ERR_CHANOPRIVSNEEDED #den: Their rank is not below yours
        >> 2 kick #den alice out
        !! ERR_CHANOPRIVSNEEDED #den: Their rank is not below yours
        >> 2 mode #den +mvob carol carol evil!*@*
        << mode #den by bob: +b evil!*@*
        << refused ERR_CHANOPRIVSNEEDED #den
        >> 2 topic #den half the power
        << topic #den by bob: half the power
        >> 1 mode #den -h carol
        << mode #den by alice: -h carol
        >> 2 mode #den -v carol
        << mode #den by bob: -v carol
        >> 3 mode #den +v carol
        << refused ERR_CHANOPRIVSNEEDED #den
        >> 2 mode #den -h+m BOB
        << mode #den by bob: -h bob
        << refused ERR_CHANOPRIVSNEEDED #den
        >> 1 kick #den bob out
        << kicked #den bob by alice: out
    """,
    "a ban silences a member without a rank": """
        >> 1 attach alice
        >> 2 attach bob
        >> 1 join #den
        << joined #den alice
        >> 2 join #den
        << joined #den bob
        >> 1 mode #den +b *!*@h2.ip
        << mode #den by alice: +b *!*@h2.ip
        >> 2 privmsg #den hello
        !! ERR_CANNOTSENDTOCHAN #den: Cannot send to channel (+b)
        >> 1 mode #den +v bob
        << mode #den by alice: +v bob
        >> 2 privmsg #den hello
        << privmsg #den by bob: hello
        >> 1 mode #den -v+b bob *!*@h1.ip
        << mode #den by alice: -v+b bob *!*@h1.ip
        >> 1 privmsg #den hello
        << privmsg #den by alice: hello
    """,
    "an invitation opens what is closed to all": """
        >> 1 attach alice
        >> 2 attach bob
        >> 1 join #den
        << joined #den alice
        >> 1 mode #den +kil secret 1
        << mode #den by alice: +kil secret 1
        >> 1 invite #den bob
        << invited #den bob by alice
        >> 2 join #den
        << joined #den bob
    """,
    "who may speak": """
        >> 1 attach alice
        >> 2 attach bob
        >> 3 attach carol
        >> 1 join #den
        << joined #den alice
        >> 2 join #den
        << joined #den bob
        >> 3 privmsg #den hello
        !! ERR_CANNOTSENDTOCHAN #den: Cannot send to channel (+n)
        >> 1 mode #den -n+m
        << mode #den by alice: -n+m
        >> 3 privmsg #den hello
        !! ERR_CANNOTSENDTOCHAN #den: Cannot send to channel (+m)
        >> 2 notice #den hello
        !! ERR_CANNOTSENDTOCHAN #den: Cannot send to channel (+m)
        >> 1 privmsg #den hello
        << privmsg #den by alice: hello
        >> 1 mode #den +v bob
        << mode #den by alice: +v bob
        >> 2 notice #den thank you
        << notice #den by bob: thank you
        >> 1 mode #den -m
        << mode #den by alice: -m
        >> 3 privmsg #den hello
        << privmsg #den by carol: hello
        >> 3 privmsg #nowhere hello
        !! ERR_NOSUCHCHANNEL #nowhere
    """,
    "direct messages": """
        >> 1 attach alice
        >> 2 attach bob
        >> 1 privmsg BOB hello you
        << privmsg bob by alice: hello you
        >> 1 notice bob hello
        << notice bob by alice: hello
        >> 1 tagmsg bob
        << tagmsg bob by alice:
        >> 1 privmsg alice note to myself
        << privmsg alice by alice: note to myself
        >> 1 privmsg nobody hello
        !! ERR_NOSUCHNICK nobody
    """,
    "modes of a channel, many at once": """
        >> 1 attach alice
        >> 2 attach bob
        >> 3 attach carol
        >> 1 join #den
        << joined #den alice
        >> 2 join #den
        << joined #den bob
        >> 2 mode #den +i-n+b x!*@*
        << refused ERR_CHANOPRIVSNEEDED #den
        >> 3 mode #den +i
        << refused ERR_CHANOPRIVSNEEDED #den
        >> 1 mode #nowhere +i
        !! ERR_NOSUCHCHANNEL #nowhere
        >> 1 mode #den +nts
        << mode #den by alice: +s
        >> 1 mode #den +ovov-s nobody carol bob BOB
        << mode #den by alice: +ov-s bob bob
        << refused ERR_NOSUCHNICK nobody
        << refused ERR_USERNOTINCHANNEL carol #den
        >> 1 mode #den +o bob
        >> 1 mode #den -o alice
        << mode #den by alice: -o alice
        >> 1 mode #den +o alice
        << refused ERR_CHANOPRIVSNEEDED #den
        >> 2 mode #den -v alice
    """,
    "a rank ends with the membership": """
        >> 1 attach alice
        >> 2 attach bob
        >> 1 join #den
        << joined #den alice
        >> 2 join #den
        << joined #den bob
        >> 1 part #den
        << parted #den alice:
        >> 1 join #den
        << joined #den alice
        >> 1 mode #den +i
        << refused ERR_CHANOPRIVSNEEDED #den
    """,
    "those who shared a channel see the end, each once": """
        >> 1 attach alice
        >> 2 attach bob
        >> 3 attach carol
        >> 1 join #a
        << joined #a alice
        >> 2 join #a
        << joined #a bob
        >> 1 join #b
        << joined #b alice
        >> 2 join #b
        << joined #b bob
        >> 3 join #c
        << joined #c carol
        >> 1 detach bye
        << quit alice: bye | to bob | from #a #b
        >> 2 detach bye
        << quit bob: bye | to nobody | from #a #b
        >> 3 part #c
        << parted #c carol:
    """,
}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_transcript(name: str) -> None:
    Chat().play(TRANSCRIPTS[name])


# ---- nothing is left out ----


def _kinds(module: ModuleType, base: type) -> set[type]:
    return {
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, base) and kind is not base
    }


def test_the_transcripts_have_every_event_every_effect_and_every_refusal() -> None:
    seen_events, seen_effects, seen_refusals = set(), set(), set()
    transcripts = (*TRANSCRIPTS.values(), *PEER_TRANSCRIPTS.values())
    played = [(Chat(), transcript) for transcript in transcripts]
    for chat, transcript in [*played, (Chat(names=NAMES), LOOKALIKES)]:
        chat.play(transcript)
        seen_events |= {type(event) for event in chat.events}
        seen_effects |= {type(effect) for effect in chat.effects}
        refused = [e.refusal for e in chat.effects if isinstance(e, effects.Refused)]
        seen_refusals |= {(r.numeric, r.text) for r in (*chat.refusals, *refused)}
    assert seen_events == _kinds(events, Event)
    assert seen_effects == _kinds(effects, Effect)
    raised = {(each.numeric, each.text) for each in (NickReserved(""), Banned("spam"))}
    for module in (network, *RULE_MODULES):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Refusal":
                numeric, text = getattr(numerics, ast.unparse(node.args[0])[9:]), ""
                for keyword in node.keywords:
                    value = keyword.value
                    constant = isinstance(value, ast.Constant)
                    text = value.value if constant else getattr(module, ast.unparse(value))
                raised.add((numeric, text or Refusal(numeric).text))
    assert len(raised) > 10
    assert seen_refusals == raised


def test_there_is_a_rule_for_every_event() -> None:
    assert set(RULES) == _kinds(events, Event)


@pytest.mark.parametrize("kind", sorted(_kinds(events, Event), key=lambda kind: kind.__name__))
def test_events_do_not_change(kind: type) -> None:
    check_value(kind)


@pytest.mark.parametrize("kind", sorted(_kinds(effects, Effect), key=lambda kind: kind.__name__))
def test_effects_do_not_change_and_name_no_session_but_their_origin(kind: type) -> None:
    """A message to a room of thousands is one small object."""
    check_value(kind)
    names = {field.name for field in fields(kind)}
    assert "stamp" in names
    assert not any("session" in name or "connection" in name for name in names)


# ---- what an effect and the state hold ----


def test_an_effect_holds_who_it_was_then() -> None:
    chat = Chat()
    chat.play(
        """
        >> 1 attach Alice
        >> 1 join #den
        << joined #den Alice
        >> 1 privmsg #den hello
        << privmsg #den by Alice: hello
        >> 1 login alison
        << account Alice: alison | to nobody
        >> 1 nick Alison
        << nick Alice Alison | to nobody
        >> 1 privmsg #den hello
        << privmsg #den by Alison: hello
        """
    )
    _, first, login, nick, second = chat.effects
    guest = Author("Alice!~alice@h1.ip", None)
    assert first == effects.ChannelMessage(
        Stamp(1, START_MS + 2 * STEP_MS, f"id{START_MS + 2 * STEP_MS}"),
        *(chat.channel("#den"), guest, "PRIVMSG", "hello", NO_TAGS),
    )
    assert isinstance(login, effects.AccountChanged)
    assert isinstance(nick, effects.NickChanged)
    assert isinstance(second, effects.ChannelMessage)
    assert login.author == nick.author == Author("Alice!~alice@h1.ip", "alison")
    assert second.author == Author("Alison!~alice@h1.ip", "alison")


def test_tags_of_a_message_are_carried() -> None:
    chat = Chat()
    chat.play(">> 1 attach alice\n>> 2 attach bob")
    tags = {"+typing": "active"}
    event = events.SendMessage(Stamp(1, START_MS, "id"), "bob", "TAGMSG", "", tags)
    (effect,) = chat.network.apply(event)
    assert isinstance(effect, effects.DirectMessage)
    assert effect.tags == tags
    assert (effect.sender, effect.recipient) == (chat.user("alice"), chat.user("bob"))


def test_a_session_more_keeps_the_user_as_it_was() -> None:
    chat = Chat()
    chat.play(">> 1 account alice\n>> 1 attach alice as alice")
    user = chat.user("alice")
    chat.play(">> 2 attach ALICE as alice\n<< sessions alice: 1 2")
    assert chat.user("ALICE") is user
    assert (user.id, user.nick, user.host, user.realname) == (1, "alice", "h1.ip", "Real alice")
    assert chat.network.sessions == {1: user, 2: user}
    chat.play(">> 1 detach bye\n<< sessions alice: 2")
    assert (user.id, user.host) == (1, "h1.ip")
    assert chat.network.users == {1: user}


def test_times() -> None:
    chat = Chat()
    chat.play(
        """
        >> 1 attach alice
        >> 2 attach bob
        >> 1 join #den
        << joined #den alice
        >> 1 topic #den hello
        << topic #den by alice: hello
        >> 1 mode #den +b bob!*@*
        << mode #den by alice: +b bob!*@*
        >> 1 privmsg bob hello
        << privmsg bob by alice: hello
        """
    )
    alice, den = chat.user("alice"), chat.channel("#den")
    assert alice.connected_ms == START_MS
    assert alice.active_ms == START_MS + 5 * STEP_MS
    assert chat.user("bob").active_ms == chat.user("bob").connected_ms == START_MS + STEP_MS
    assert den.created_ms == START_MS + 2 * STEP_MS
    assert (den.topic_by, den.topic_ms) == ("alice!~alice@h1.ip", START_MS + 3 * STEP_MS)
    (ban,) = den.lists["b"].values()
    assert (ban.by, ban.at_ms) == ("alice!~alice@h1.ip", START_MS + 4 * STEP_MS)
    chat.play(">> 1 topic #den\n<< topic #den by alice:")
    assert (den.topic, den.topic_by, den.topic_ms) == ("", "", 0)


def test_an_account_is_a_member_until_it_leaves_or_is_put_out() -> None:
    chat = Chat()
    chat.play(
        """
        >> 1 account alice
        >> 1 attach alice as alice
        >> 2 attach bob as bob
        >> 1 join #den
        << joined #den alice
        >> 2 join #den
        << joined #den bob
        >> 2 detach lost
        << quit bob: lost | to alice | from #den
        """
    )
    den = chat.channel("#den")
    began = {"alice": START_MS + 3 * STEP_MS, "bob": START_MS + 4 * STEP_MS}
    assert den.members_since == began
    chat.play(">> 3 attach bob as bob\n>> 3 join #den\n<< joined #den bob")
    assert den.members_since == began
    assert den.members[chat.user("bob").id].since_ms == began["bob"]
    chat.play(">> 1 kick #den bob out\n<< kicked #den bob by alice: out")
    assert den.members_since == {"alice": began["alice"]}
    chat.play(">> 3 join #den\n<< joined #den bob\n>> 1 part #den\n<< parted #den alice:")
    assert den.members_since == {"bob": START_MS + 9 * STEP_MS}
    chat.play(">> 4 attach carol\n>> 4 join #den\n<< joined #den carol")
    assert den.members[chat.user("carol").id].since_ms == START_MS + 12 * STEP_MS
    chat.play(">> 4 login carol\n<< account carol: carol | to bob")
    assert den.members_since["carol"] == START_MS + 12 * STEP_MS


def test_two_users_of_an_account_are_one_member() -> None:
    chat = Chat()
    chat.play(
        """
        >> 1 account alice
        >> 1 attach alice as alice
        >> 2 attach alicia as alice
        >> 1 join #den
        << joined #den alice
        >> 2 join #den
        << joined #den alicia
        >> 1 part #den
        << parted #den alice:
        """
    )
    assert chat.channel("#den").members_since == {"alice": START_MS + 3 * STEP_MS}
    chat.play(">> 2 part #den\n<< parted #den alicia:")
    assert chat.channel("#den").members_since == {}


def test_a_new_channel_keeps_strangers_and_topics_out() -> None:
    chat = Chat()
    chat.play(">> 1 attach alice\n>> 1 join #den\n<< joined #den alice")
    assert chat.channel("#DEN").modes == {"n": "", "t": ""}
    assert chat.channel("#DEN").ranks(chat.user("alice")) == {"o"}


def test_the_most_users_at_one_time_are_counted() -> None:
    chat = Chat()
    chat.play(
        """
        >> 1 account alice
        >> 1 attach alice as alice
        >> 2 attach alice as alice
        << sessions alice: 1 2
        >> 3 attach bob
        >> 3 detach bye
        << quit bob: bye | to nobody | from nowhere
        >> 4 attach carol
        """
    )
    assert chat.network.most_users == 2


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_two_networks_fed_alike_are_equal(name: str) -> None:
    first, second = Chat(), Chat()
    first.play(TRANSCRIPTS[name])
    second.play(TRANSCRIPTS[name])
    assert state_of(first.network) == state_of(second.network)


CHANGES = [
    "1 detach bye",
    "5 end 5",
    "1 nick alison",
    "1 realname A",
    "1 host bob other.host",
    "0 restore erin 0",
    f"0 expire {START_MS + 50 * STEP_MS}",
    "1 set alice key value",
    "1 read #den 5",
    "1 away out",
    "1 watch bob",
    "1 publish * avatar cat.png",
    "3 unpublish carol",
    "1 subscribe avatar",
    "3 unsubscribe colour",
    "3 unwatch dave",
    "1 umode +i",
    "1 account x",
    "1 login x",
    "1 oper",
    "4 kill alice spam",
    "1 accept bob",
    "1 join #hall",
    "1 part #den",
    "1 kick #den bob",
    "1 invite #den carol",
    "3 let-in #den zoe",
    "1 topic #den hi",
    "1 mode #den +m",
    "1 mode #den +b x!*@*",
    "1 mode #den +v bob",
    "1 privmsg bob hi",
    "9 attach dave",
    "6 claim #own",
    "1 rename #den #yonder",
    "5 transfer #yard zoe",
    "5 drop #yard",
    "5 rank #yard zoe +v",
    "5 retain #yard 7",
    "6 announce dora's",
    "10 retract",
    "10 offer eve * two",
    "10 answer one",
    "10 withdraw one",
    "4 kline - x!*@* spam",
    "0 undline 192.0.2.1",
    "0 close zoe x",
    "0 forget zoe x",
    "0 relay west",
    "0 lost east 1 gone",
    "0 reload east list_entries=1",
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_snapshot_tells_every_change(change: str) -> None:
    chat = Chat()
    chat.play(
        """
        >> 1 attach alice
        >> 2 attach bob
        >> 3 attach carol
        >> 3 watch dave
        >> 3 subscribe colour
        >> 3 publish * colour red
        << metadata carol colour: red | to  | of a guest
        >> 4 attach root
        >> 4 oper
        << umode root: +o
        >> 0 set frank always-on on
        << setting frank always-on: on
        >> 0 set erin always-on on
        << setting erin always-on: on
        >> 0 restore frank 0
        << away frank: Not here at the moment | to nobody
        << setting frank presence: …
        >> 1 join #den
        << joined #den alice
        >> 2 join #den
        << joined #den bob
        >> 6 attach dora
        >> 6 join #own
        << joined #own dora
        >> 6 login dora
        << account dora: dora | to nobody
        >> 5 account zoe
        >> 5 attach eve as eve
        >> 5 join #yard
        << joined #yard eve
        >> 10 attach zoe as zoe
        >> 10 join #yard
        << joined #yard zoe
        >> 5 announce eve's
        << announced eve's of eve | now eve's
        << reachable eve | to zoe
        >> 10 announce zoe's
        << announced zoe's of zoe | now zoe's
        << reachable zoe | to eve
        >> 5 offer zoe * one
        << offered one by eve eve's | to 10
        >> 0 dline - 192.0.2.1 spam
        << D-line 192.0.2.1: 0 | to root
        >> 0 relay east
        << relay east
        """
    )
    before = state_of(chat.network)
    assert before == state_of(chat.network)
    chat.network.apply(parse_event(change, chat.now_ms))
    assert state_of(chat.network) != before


def test_the_changes_above_are_of_every_event() -> None:
    # Said, and gone.
    unseen = {events.Wallops, events.RedactMessage, events.SendCandidates, events.GrantTunnel}
    changing = {type(parse_event(change, 0)) for change in CHANGES}
    assert changing == _kinds(events, Event) - unseen


# ---- the transcripts themselves ----


@pytest.mark.parametrize(
    "wrong",
    [
        ">> 1 attach alice\n<< joined #den alice",
        ">> 1 attach alice\n>> 1 join #den",
        ">> 1 attach alice\n>> 1 join #den\n<< joined #hall alice",
        ">> 1 attach alice\n>> 2 attach alice",
        ">> 1 attach alice\n>> 2 attach bob\n!! ERR_NICKNAMEINUSE bob",
    ],
)
def test_a_wrong_transcript_fails(wrong: str) -> None:
    with pytest.raises(AssertionError):
        Chat().play(wrong)


def test_who_has_given_up_a_nick() -> None:
    """Kept for WHOWAS: the latest first, and not more than the limit."""
    chat = Chat()
    chat.play(
        """
        >> 1 attach alice
        >> 1 nick ALICE
        << nick alice ALICE | to nobody
        >> 1 nick bob
        << nick ALICE bob | to nobody
        >> 2 attach alice
        >> 2 detach bye
        << quit alice: bye | to nobody | from nowhere
        """
    )
    found = list(chat.network.find_departed("Alice"))
    assert [(entry.nick, entry.host) for entry in found] == [("alice", "h2.ip"), ("ALICE", "h1.ip")]
    assert found[0].at_ms == START_MS + 4 * STEP_MS
    assert list(chat.network.find_departed("bob")) == []
    for session in range(3, 3 + LIMITS.whowas_entries):
        chat.play(
            f"""
            >> {session} attach carol
            >> {session} detach bye
            << quit carol: bye | to nobody | from nowhere
            """
        )
    assert list(chat.network.find_departed("alice")) == []
    assert len(list(chat.network.find_departed("carol"))) == LIMITS.whowas_entries


def test_a_relay_that_starts_again_takes_the_place_of_itself() -> None:
    chat = Chat()
    chat.play(
        f"""
        >> 0 relay east
        << relay east
        >> 0 relay west
        << relay west
        >> {EAST + 1} attach alice
        >> {WEST + 1} attach bob
        >> {WEST + 1} watch alice
        >> 0 relay east
        << no relay east 1: It has started again
        << quit alice: east: It has started again | to nobody | from nowhere
        << offline alice | watched by {WEST + 1}
        << relay east
        >> {EAST_AGAIN + 1} attach alice
        << online alice | watched by {WEST + 1}
        """
    )
    assert [(r.name, r.incarnation, r.slot) for r in chat.network.relays.values()] == [
        ("west", 2, 1),
        ("east", 3, 0),
    ]


def test_a_start_that_comes_late_ends_nobody() -> None:
    chat = Chat()
    chat.play(
        f"""
        >> 0 relay east 0
        << relay east
        >> 0 relay east 1
        << no relay east 1: It has started again
        << relay east
        >> {WEST + 1} attach alice
        >> 0 relay east 1
        !! FAIL RELAY_STARTED_SINCE
        >> 0 relay west 0
        << relay west
        """
    )
    assert [(r.name, r.incarnation) for r in chat.network.relays.values()] == [
        ("east", 2),
        ("west", 3),
    ]


def test_there_are_only_so_many_relays() -> None:
    chat = Chat()
    for number in range(RELAY_SLOTS):
        chat.play(f">> 0 relay r{number}\n<< relay r{number}")
    chat.play(
        """
        >> 0 relay more
        !! FAIL TOO_MANY_RELAYS
        >> 0 relay r0
        << no relay r0 1: It has started again
        << relay r0
        """
    )
    assert chat.network.relays["r0"].slot == 0


def test_a_relay_that_takes_its_limits_anew_gives_them_to_all() -> None:
    chat = Chat()
    chat.play(
        ">> 0 reload east channels_per_user=1 whowas_entries=1 always_on=off\n<< reloaded east"
    )
    expected = replace(LIMITS, channels_per_user=1, whowas_entries=1, always_on="off")
    assert chat.network.limits == expected
    assert chat.network.departed.maxlen == 1


def test_read_markers_go_with_a_renamed_channel() -> None:
    """Those of the old name are of no other channel that takes it, nor those of the new name."""
    chat = Chat()
    chat.play(
        """
        >> 1 attach alice as alice
        >> 2 attach bob
        >> 3 attach carol as carol
        >> 1 join #den
        << joined #den alice
        >> 1 read #den 5
        << read #den 5 | to alice
        >> 2 read #den 6
        << read #den 6 | to bob
        >> 1 read #yard 7
        << read #yard 7 | to alice
        >> 3 read #yard 8
        << read #yard 8 | to carol
        >> 3 read bob 9
        << read bob 9 | to carol
        >> 1 rename #den #DEN
        << renamed #den #DEN by alice:
        """
    )

    def marked(nick: str) -> dict[str, int]:
        markers = chat.network.markers(chat.user(nick))
        return {target: at_ms - START_MS for target, at_ms in markers.items()}

    assert [marked(nick) for nick in ("alice", "bob", "carol")] == [
        {"#den": 5, "#yard": 7},
        {"#den": 6},
        {"#yard": 8, "bob": 9},
    ]
    chat.play(
        """
        >> 1 rename #den #Yard
        << renamed #DEN #Yard by alice:
        """
    )
    assert [marked(nick) for nick in ("alice", "bob", "carol")] == [
        {"#yard": 5},
        {"#yard": 6},
        {"bob": 9},
    ]


def test_a_large_channel_is_not_renamed_again_at_once() -> None:
    """Every member whose client knows no RENAME is sent the names of all."""
    chat = Chat()
    for number in range(1, 52):
        chat.play(f">> {number} attach u{number}")
        chat.play(f">> {number} join #den\n<< joined #den u{number}")
    chat.network.apply(parse_event("1 rename #den #yard", 1_000_000))
    with pytest.raises(Fail, match=r"CANNOT_RENAME .* wait 59 s"):
        chat.network.apply(parse_event("1 rename #yard #den", 1_001_000))
    chat.network.apply(parse_event("51 part #yard", 1_002_000))  # a small one may
    chat.network.apply(parse_event("1 rename #yard #den", 1_002_000))
    chat.network.apply(parse_event("51 join #den", 1_003_000))
    chat.network.apply(parse_event("1 rename #den #yard", 1_062_000))
