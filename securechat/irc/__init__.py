"""The language: IRCv3, sans-I/O.

Everything here is pure: bytes and text in, messages and text out. No socket, TLS, thread, clock,
randomness, logging, file or environment; time and random ids come in as arguments. A test walks the
imports. It imports ``securechat.errors`` and nothing else of the project; relay, client and peers
all speak through it.

- ``framing``       bytes → lines, with limits
- ``message``       line ↔ ``Message`` (tags, source, command, params)
- ``tags``          the tag escapes
- ``numerics``      the three-digit replies and their texts
- ``casemapping``   which names are equal
- ``names``         which names are legal
- ``masks``         ``nick!user@host`` patterns
- ``modes``         mode strings
- ``capabilities``  the IRCv3 capabilities that the relay speaks
- ``metadata``      which keys of metadata are legal
- ``isupport``      the 005 tokens
- ``sasl``          PLAIN, SCRAM-SHA-256(-PLUS), EXTERNAL, both sides
- ``batch``         collecting batched messages
- ``multiline``     messages of several lines as one text
- ``peering``       how peers find each other: signals and the tunnel's first words
- ``text``          cutting text to a size in bytes
- ``ctcp``, ``formatting``  what clients put inside a text

References: Modern IRC (https://modern.ircdocs.horse/) and IRCv3 (https://ircv3.net/irc/).
"""
