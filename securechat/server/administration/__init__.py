"""Looking after a relay: what ``securechat-server COMMAND`` does, whether a relay runs or not.

- ``tool``     what a command is: its arguments, its work, how its result is shown; ``tools`` all
- ``desk``     where the work is done: at a running relay, or on its database
- ``control``  the Unix socket by which a running relay takes work; ``remote`` the other end of it
- ``console``  the command line
- one module for each group of commands: ``accounts``, ``invites``, ``bans``, ``certificates``,
  ``backups``, ``store_copy``, ``checks``, ``status``, ``service_files``; ``account_records`` all
  that is kept of an account, ``backup_file`` what a backup looks like
- ``output``   what they print; ``passwords`` what they ask for

The way of a command: ``console`` reads the arguments and asks for what is missing (a password) →
JSON → where a relay runs on this data, through its socket to a ``Desk`` in that relay, else to a
``Desk`` on the files or the PostgreSQL → the tool's work → JSON → ``console`` shows it. So each
command is written once, does the same in both cases, and never do two programs write at the same
time. What several relays share is changed through one that runs: the others have to hear of it.

Who may write to the socket may do all this: it is the relay's user, and root (0600, in the folder
of the database).
"""

__all__ = []
