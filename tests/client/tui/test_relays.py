"""A chat of several relays on the screen, with relays that follow a script."""

from __future__ import annotations

from pathlib import Path

from securechat.client.relays import RelayAddress
from securechat.client.settings.opening import Opening
from securechat.client.settings.profile_file import ProfileFile
from securechat.client.settings.profiles import Network as Profile
from tests.client.scripted_server import FULL_CAPS, Peer, Pki, serving
from tests.client.tui.screens import at_screen, run


def test_a_relay_is_lost_and_all_goes_on(pki: Pki, tmp_path: Path) -> None:
    def second(peer: Peer) -> None:
        peer.register()
        peer.joins("#den", "dora")
        peer.say(":dora!d@h PRIVMSG #den :here we are")
        peer.until_gone()

    with serving(pki, second) as other:

        def first(peer: Peer) -> None:
            peer.negotiate(FULL_CAPS)
            peer.welcome(isupport=f"CHANTYPES=# securechat/RELAYS=localhost:{other.port}")
            peer.joins("#den", "bob", "carl", "dora")
            peer.say(
                ":irc.test BATCH +1 netsplit irc.test b.irc",
                "@batch=1 :bob!b@h QUIT :b.irc: gone",
                "@batch=1 :carl!c@h QUIT :b.irc: gone",
                ":irc.test BATCH -1",
                ":irc.test NOTICE ann :This relay is cut off from the others (gone).",
            )
            peer.expect("PRIVMSG", "#den")
            peer.say("ERROR :Closing link: This relay has lost the others")

        async def scene() -> None:
            file = ProfileFile(tmp_path / "profiles.toml")
            profile = Profile(
                "localhost", "ann", server.port, ca=pki.ca_file, rooms=("#den",), peers=False
            )
            file.save_network("home", profile)
            async with at_screen(tmp_path, Opening("home", profile)) as ann:
                await ann.see("2 people were lost with relay b.irc: bob, carl")
                await ann.see("This relay is cut off from the others (gone).")
                assert [member.nick for member in ann.network.client.members("#den")] == [
                    "ann",
                    "dora",
                ]
                await ann.say("move on")
                await ann.see("dora here we are")
                learned = file.load().networks["home"].learned
                assert learned == (RelayAddress("localhost", other.port),)

        with serving(pki, first) as server:
            run(scene())
