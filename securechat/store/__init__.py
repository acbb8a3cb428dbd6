"""What must survive a restart: SQLite or PostgreSQL behind narrow classes.

One class for each concern (``Accounts``, …), with real SQL inside and no ORM. A class is given a
connection and used only by the thread that opened it (``sqlite3`` checks this); which thread that
is, and when a transaction ends, is decided above (``securechat.server.store_thread``). This package
must not know of sessions, sockets, threads or IRC; it imports ``securechat.errors`` only.

There is one class for both engines, not two with an interface, and its SQL is what both understand:
``?`` for values, ``ON CONFLICT`` in place of ``INSERT OR …``, no ``RETURNING`` (SQLite has it since
3.35), and no error of the database that one goes on after, as PostgreSQL does nothing more in that
transaction. So there is one place to look for what a table holds, and none to forget. Where another
relay may write between a reading and a writing, the statement itself decides (``… WHERE uses_left >
0``), and ``rowcount`` tells. Only what the engines do in their own ways is there twice: connecting,
the schema, and the search in the history.

- ``connection``  what the classes ask of a database: to execute SQL
- ``engine``      what keeps it in a thread: connecting, transactions, what its errors mean
- ``sqlite_database``, ``postgres_database``  the two that there are
- ``postgres``    a connection to PostgreSQL that is used as one to SQLite; ``postgres_url`` where
- ``postgres_migrations``  the schema there; ``postgres_use`` who uses it;
  ``postgres_whole`` all of it read or filled at once
- ``database``    open a file: pragmas, the lock that keeps a second relay out
- ``migrations``  the schema, by ``PRAGMA user_version``
- ``passwords``   Argon2id hashes as PHC strings, which carry their parameters
- ``accounts``    the password store
- ``invites``     invites: tokens that register accounts
- ``secrets``     the relay's own random secrets
- ``entries``     what a history consists of, and who may read which of it
- ``history``     what was said and done in rooms and direct conversations
- ``messages``    its tables, as each engine has them: ``sqlite_messages`` with its search
  ``message_index``, ``postgres_messages`` with ``postgres_search``
- ``reading``     a conversation in the order of time
- ``account_history``  what is in it of one account
- ``backup``      a copy of the database while it is used
- ``copying``     all of a database into an empty one, of either engine
- ``rooms``       rooms that belong to an account: modes, lists, who has which rank
- ``settings``    what people have set for their accounts
- ``certificates``  fingerprints of certificates that log in to an account
- ``read_markers``  how far an account has read each conversation
- ``devices``     devices by which people can be reached as peers
- ``bans``      whom operators have banned from the relay
- ``keeping``     which of several relays writes the state of the chat
- ``snapshots``   that state, for relays that start
- ``metadata``    keys and values that people publish about themselves and rooms
"""
