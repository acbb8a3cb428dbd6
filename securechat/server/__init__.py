"""The relay: one chat, many sessions.

The way of a message: ``session`` cuts a connection's bytes into lines → ``dispatch`` makes all
shared checks → a handler in ``commands/`` refuses, or proposes an event → ``event_log`` puts events
in one order → ``network.apply`` changes the chat state and returns effects → ``delivery`` encodes
each effect once for each capability set and posts it to the I/O threads.

- ``config``          what there is to set; ``config_checks`` what it may be; ``config_file`` the
                      TOML file, checked whole
- ``cli``             the console script; ``administration/`` its commands
- ``relay``           makes the threads and the ports, starts and stops them
- ``assembly``        the chat as it was when the last relay stopped, and who keeps it
- ``caretaker``       the thread that looks after the relay; ``upkeep`` what it does; ``reload``
                      a new configuration while the relay runs
- ``certificate``     what the relay shows, and what takes its place; ``authority`` its CA, for
                      who comes with an invite
- ``chat_port``       what a new connection is: a session, an end of a tunnel, or such a guest
- ``admission``       which addresses may connect, and how many connections each may have;
  ``addresses`` what an IP address is
- ``websocket``       what lies between a browser's connection and its session
- ``tunnels``         the tunnels of peers; ``tunnel_end`` tells their ends from sessions
- ``session``         one connection of one device; ``sessions`` the lock-guarded registry of all
- ``names``           which names are legal, equal, alike; ``unicode_names`` beyond ASCII
- ``dispatch``        the command table; ``context`` how a handler answers
- ``client_batch``    a message of several lines, while its client sends it
- ``commands/``       one module for each command group
- ``bans``            whom operators keep out of the relay; ``ban_words`` how people write it
- ``servers``         the relays of a chat, as servers of IRC
- ``visibility``      what one user may see of others; ``rooms`` what a room looks like
- ``help_topics``     what HELP says beside the commands
- ``events``, ``effects``, ``state``, ``network``   the chat as a deterministic state machine
- ``snapshot``        all of its state as plain values; ``plain`` what form values have there
- ``cluster/``        what makes several relays one chat; nothing of it is loaded for a single one
- ``rules/``          what each event does to it, one module for each group
- ``delivery/``       effects to bytes, one module for each group
- ``history/``        what is kept of it, and given back
- ``authentication``  logins and registrations; ``credentials`` what is kept of a password;
                      ``hash_workers``, ``store_thread`` do what is slow
- ``backlog``         what the store could not keep yet
- ``room_keeper``     the rooms that belong to somebody, kept in the store
- ``settings_keeper``, ``metadata_keeper``  what is set and published, kept in the store
- ``device_keeper``   the devices that peers have had, kept in the store
- ``ban_keeper``      bans, kept in the store
- ``account_changes``  accounts made, closed and deleted from outside of the chat
- ``telemetry/``      what is counted, whether the threads answer, the port for Prometheus
- ``log_output``      where the log goes; ``sd_notify`` tells systemd how the relay is

Locks: the *network lock* (tier 3) is held for one command: its handler, ``apply`` and the posting
of its output, so that all members of a room see one order. ``Network``, ``Delivery`` and the
capabilities of sessions are guarded by it. Under it there is no I/O, SQL, hashing or logging; log
lines are noted and written after it.

A **user** is a nick on the network; a **session** is one device attached to it. The relay knows of
no client code, and never imports ``securechat.client`` or ``securechat.peer``.
"""
