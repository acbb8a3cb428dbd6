"""What must survive a restart: SQLite behind narrow classes.

One class for each concern (``Accounts``, …), with real SQL inside and no ORM. A class is given a
connection and used only by the thread that opened it (``sqlite3`` checks this); which thread that
is, and when a transaction ends, is decided above (``securechat.server.store_thread``). This package
must not know of sessions, sockets, threads or IRC; it imports ``securechat.errors`` only.

- ``database``    open a file: pragmas, the lock that keeps a second relay out
- ``migrations``  the schema, by ``PRAGMA user_version``
- ``passwords``   Argon2id hashes as PHC strings, which carry their parameters
- ``accounts``    the password store
- ``invites``     invites: tokens that register accounts
- ``secrets``     the relay's own random secrets
- ``entries``     what a history consists of, and who may read which of it
- ``history``     what was said and done in rooms and direct conversations
- ``message_index``  the search in it
- ``account_history``  what is in it of one account
- ``backup``      a copy of the database while it is used
- ``rooms``       rooms that belong to an account: modes, lists, who has which rank
- ``settings``    what people have set for their accounts
- ``certificates``  fingerprints of certificates that log in to an account
- ``read_markers``  how far an account has read each conversation
- ``devices``     devices by which people can be reached as peers
- ``bans``      whom operators have banned from the relay
- ``metadata``    keys and values that people publish about themselves and rooms
"""
