"""What must survive a restart: SQLite behind narrow classes.

One class for each concern (``Accounts``, …), with real SQL inside and no ORM. A class is given a
connection and used only by the thread that opened it (``sqlite3`` checks this); which thread that
is, and when a transaction ends, is decided above (``securechat.server.store_thread``). This package
must not know of sessions, sockets, threads or IRC; it imports ``securechat.errors`` only.

- ``database``    open a file: pragmas, the lock that keeps a second relay out
- ``migrations``  the schema, by ``PRAGMA user_version``
- ``passwords``   Argon2id hashes as PHC strings, which carry their parameters
- ``accounts``    the password store
- ``invites``     invitation codes
- ``secrets``     the relay's own random secrets
"""
