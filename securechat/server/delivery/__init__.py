"""Effects to bytes: who of this relay's sessions gets what.

An effect is encoded once for each set of capabilities that matters to it, and posted to each I/O
thread once for each such set, with the tuple of the connections concerned. These tuples are kept
for each channel until its members or their capabilities change; so a message to a large room costs
the poster a few entries, and the I/O threads join what goes to the same tuple (see
``IoThread.send``).

- ``delivery``  the groups, and sending to sessions, members, a room
- ``lines``     one line, as it looks for any set of capabilities
- ``messages``, ``channels``, ``users``, ``operators``, ``monitors``, ``metadata``,
  ``read_markers``, ``redactions``, ``peers``   which lines an effect becomes, and who gets them
"""
