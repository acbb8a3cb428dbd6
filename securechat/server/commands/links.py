"""LINKS, MAP: the relays of the chat, as servers of the network.

https://modern.ircdocs.horse/#links-message
"""

from __future__ import annotations

from securechat.irc import numerics
from securechat.irc.message import Message
from securechat.server.context import Context
from securechat.server.dispatch import command
from securechat.server.servers import seen_servers

__all__: list[str] = []


@command("LINKS")
def links(context: Context, message: Message) -> None:
    """LINKS.

    See the relays of the chat.
    """
    name = context.services.name
    for server in seen_servers(context.services):
        # Each is linked to this one, as all are to the log.
        context.reply(numerics.RPL_LINKS, server.name, name, f"{server.hops} {server.info}")
    context.reply(numerics.RPL_ENDOFLINKS, "*", "End of /LINKS list")


@command("MAP")
def show_map(context: Context, message: Message) -> None:
    """MAP.

    See the relays of the chat as a tree, of which this relay is the root.
    """
    this, *others = seen_servers(context.services)
    context.reply(numerics.RPL_MAP, this.name)
    for n, server in enumerate(others, 1):
        branch = "`" if n == len(others) else "|"
        context.reply(numerics.RPL_MAP, f"{branch}- {server.name}")
    context.reply(numerics.RPL_MAPEND, "End of /MAP")
