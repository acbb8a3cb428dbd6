"""securechat: a private chat with TLS on every connection.

The tree is the architecture; each package says in its own docstring what it is for and what it
must not know:

- ``errors``   one exception tree, imported by all, importing nothing
- ``irc``      the language: sans-I/O parsing, numerics, capabilities, SASL
- ``net``      the wire: bytes only; TLS pipes, I/O threads, listener, dialer, locks
- ``pki``      the private certificate authority
- ``store``    what must survive a restart: SQLite behind narrow classes
- ``server``   the relay
- ``client``   the client, its public API and its line mode

``tests/test_layering.py`` holds who may import whom.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
