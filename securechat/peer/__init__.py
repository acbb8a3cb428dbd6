"""Sessions between two peers, without the relay where that is possible: the client's side.

How two devices find each other is in ``securechat.irc.peering``. This package is what follows. It
knows nothing of the relay's inside nor of any user interface; the client package gives it a way to
send signals, takes its events, and owns the thread that all of it runs on.

- ``identity``      the device's own key and certificate; ``known_peers`` those of others, pinned
- ``safety_code``   sixty digits that two people compare
- ``candidates``    where a device may be reached, and which of that is tried
- ``pipes``         TLS behind a first word, and TLS inside a tunnel: what a connection runs on
- ``connector``     the race of all ways to one peer, of which one is picked: each a ``path``; the
                    ``door`` is where we listen; ``port_mapping`` has the router let peers in;
                    ``look_up`` finds the relay of a tunnel
- ``records``       what is said on a connection: bytes ↔ records
- ``session``       the session itself, sans-I/O, over one path after the other
- ``transfers``     files on their way, sans-I/O: each a ``transfer``, by ``sending`` or
                    ``receiving``; the ``window`` is how much is on its way at a time; ``files``
                    reads and writes them, on the ``disk`` thread; ``file_names`` makes received
                    names harmless
- ``contact``       all that we have with one account: offers, the session, its paths
- ``hub``           all contacts of one client
- ``events``        what it tells

The rest of this text is normative.

**A path** is a TCP connection of two devices that are a pair (offerer and answerer, with an
``id``), or a tunnel through the relay between them. On a TCP connection each side first says 32
bytes, the SHA-256 of ``securechat-peer`` and the id: who has dialled, at once; who was dialled,
after it has read those of the other; it closes without a word if it knows no such id. In a tunnel
nothing comes before. Then there is TLS 1.3 with the application protocol ``securechat-peer``. The
offerer is the TLS client, whoever has dialled. Each side accepts just the one certificate that the
offer and the answer told, and compares it, byte by byte, once more. No name is asked for.

Both sides dial, and many paths may come up. The answerer says READY on each whose handshake is done
(in TLS 1.3 a client's handshake ends before the server has judged it). The offerer says PICK on the
first READY one, once; both close the others. From there on the path belongs to the session.

**A record** is a length (4 bytes, big-endian, of the body), a kind (1 byte), a body. Bodies are
JSON objects in UTF-8, whose unknown keys are ignored, but for chunks and their acknowledgements,
which are binary. Kinds from 128 on are skipped where unknown; another unknown kind ends the path. A
body has a limit for its kind.

**A session** outlives its paths. Each side has a random *incarnation*, made when its client took up
the session, and counts the *numbered* records that it sends. The first record on a path is HELLO:
our incarnation, the other's as far as we know it, and how many of its numbered records we have
received. Whoever is greeted with its own incarnation sends again what was not received; with
another one, or none, the other side has begun anew: then what was not acknowledged is lost and is
told as lost, and counting begins at 1. A numbered record that was received before is dropped. So no
text is lost or doubled while both clients run, however often the path changes.

A path on which nothing was heard for ``DEAD_AFTER_S`` is dead. After ``PING_AFTER_S`` of silence a
PING asks. A session without a path tries for ``REESTABLISH_S`` to get one, by a new offer to the
same device.

**A file** is offered, and accepted from an offset (0, or what an earlier try has left, with the
SHA-256 of that part). FileAccept means "send from there", now and on this path; it may come again.
Chunks follow in order, a window ahead of the receiver's acknowledgements, which tell what is
written. Some may follow an earlier accept, so a chunk that would leave a gap is dropped, and of one
that was received already, or in part, only the new part is taken. After the last chunk FileDone
tells the SHA-256 over the whole; it is not said of a file that was changed meanwhile. The receiver
compares, puts the file into its place and says FileReceived. FileEnd ends it at any time.

On each new path the receiver accepts again, from where it is, once all it has received is written.
If the part that it has is not the beginning of the file, the sender says the same FileOffer once
more; the receiver throws the part away and accepts from 0. If one side has begun anew, its offers
are void, and those to it are said again, under the same number, by which it knows what its user has
accepted before.
"""
