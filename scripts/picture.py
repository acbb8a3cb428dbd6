"""Make the picture of the full-screen client that the README shows, from a real session.

::

    .venv/bin/python scripts/picture.py            writes .github/client.svg
    .venv/bin/python scripts/picture.py FILE

A relay, three people who talk, and the client on a screen of 100 columns: all of it on this
machine, in a temporary folder, for a few seconds. Needs the extra ``tui``.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmark.crowd import LoadError
from benchmark.relay import running_relay

from securechat.client import Client, NamesReceived, Registered, TextReceived
from securechat.client.settings.opening import Opening
from securechat.client.settings.profile_file import ProfileFile
from securechat.client.settings.profiles import Network, PasswordSource
from securechat.client.tui.app import ChatApp

PICTURE = Path(__file__).resolve().parent.parent / ".github" / "client.svg"

SIZE = (100, 28)
PASSWORD = "a password for a picture"
DEADLINE_S = 20.0
"""For each step; a machine on which one takes longer is broken."""

ROOMS = ("#kitchen", "#garden")


class Person:
    """Somebody who talks. Owned by the script."""

    def __init__(self, nick: str, port: int, ca: Path) -> None:
        self.client = Client("localhost", port, nick=nick, ca=ca, channels=ROOMS)
        self.client.connect()
        self.client.register(PASSWORD)
        self.heard: list[TextReceived] = []
        self.until(lambda event: isinstance(event, NamesReceived) and event.channel == ROOMS[-1])

    def until(self, wanted: Callable[[object], bool]) -> None:
        """Read events until one is wanted."""
        end = time.monotonic() + DEADLINE_S
        while True:
            event = self.client.next_event(max(0.0, end - time.monotonic()))
            if isinstance(event, TextReceived):
                self.heard.append(event)
            if event is None or wanted(event):
                return

    def say(self, text: str, room: str = ROOMS[0], reply_to: str | None = None) -> str:
        """Say something; return its msgid, once the relay has told it."""
        self.client.send(room, text, reply_to=reply_to)
        self.until(lambda event: isinstance(event, TextReceived) and event.own)
        return self.heard[-1].msgid or ""


@contextlib.contextmanager
def people(port: int, ca: Path) -> Iterator[tuple[Person, Person]]:
    bob, carol = Person("bob", port, ca), Person("carol", port, ca)
    try:
        yield bob, carol
    finally:
        bob.client.close()
        carol.client.close()


def make_account(nick: str, port: int, ca: Path) -> None:
    with Client("localhost", port, nick=nick, ca=ca) as client:
        client.connect()
        client.register(PASSWORD)
        while not isinstance(client.next_event(DEADLINE_S), Registered):
            pass


async def draw(folder: Path, port: int, ca: Path, bob: Person, carol: Person) -> str:
    """Play the scene; return the picture."""
    profile = Network(
        "localhost",
        "ann",
        port=port,
        ca=ca,
        password=PasswordSource("prompt"),
        rooms=ROOMS,
        peers=False,
    )

    def make_client(opening: Opening, wake: Callable[[], None]) -> Client:
        return Client(
            profile.host,
            profile.port,
            nick=profile.nick,
            ca=ca,
            password=opening.password,
            channels=profile.rooms,
            interactive=True,
            history=True,
            on_event=wake,
        )

    file = ProfileFile(folder / "profiles.toml")
    app = ChatApp([Opening("home", profile, PASSWORD)], make_client, file)
    try:
        async with app.run_test(size=SIZE) as pilot:

            async def until(shown: Callable[[], bool]) -> None:
                end = time.monotonic() + DEADLINE_S
                while not shown():
                    if time.monotonic() > end:
                        raise LoadError("the screen does not show what it should")
                    await pilot.pause(0.02)

            def texts() -> list[str]:
                buffer = app.chat_screen.shown
                return [entry.text for entry in buffer.entries] if buffer is not None else []

            await until(lambda: "Shall I book the hut?" in texts())
            asked = await asyncio.to_thread(carol.say, "Ann, can you bring the tent? 🏕")
            await until(lambda: any("tent" in text for text in texts()))
            await pilot.press("ctrl+up", "enter", "r", *"Yes, both of them", "enter")
            await until(lambda: "Yes, both of them" in texts())
            bob.client.react(ROOMS[0], asked, "👍")
            carol.client.react(ROOMS[0], asked, "👍")
            bob.client.action(ROOMS[0], "looks for the stove")
            bob.client.send("ann", "psst: the cake is a surprise")
            carol.client.send(ROOMS[1], "The tomatoes are ripe. ann, come and get some!")
            await asyncio.to_thread(bob.say, "The way there: https://example.org/hut/map")
            carol.client.typing(ROOMS[0], "active")
            await until(lambda: any("map" in text for text in texts()))
            await until(lambda: "carol is typing" in "".join(_lines(app)))
            await until(lambda: "👍 2" in "".join(_lines(app)))
            return app.export_screenshot(title="securechat-client")
    finally:
        for network in app.networks:
            network.client.close()


def _lines(app: ChatApp) -> list[str]:
    strips = app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip) for strip in strips]


def main() -> int:
    parser = argparse.ArgumentParser(prog="picture.py", description="Draw the client.")
    parser.add_argument("file", type=Path, nargs="?", default=PICTURE)
    path = parser.parse_args().file
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            running_relay(Path(folder), "1.3") as (_pid, port, ca),
        ):
            make_account("ann", port, ca)
            with people(port, ca) as (bob, carol):
                bob.client.set_topic(ROOMS[0], "The trip to the lake · Saturday, eight o'clock")
                bob.say("Good morning! The weather will be fine at the weekend.")
                carol.say("Then let us go to the lake, as we said. I have the car until Sunday.")
                bob.say("Shall I book the hut?")
                picture = asyncio.run(draw(Path(folder), port, ca, bob, carol))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(picture, encoding="utf-8")
    except (LoadError, OSError) as error:
        print(f"picture.py: {error}", file=sys.stderr)
        return 1
    print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
