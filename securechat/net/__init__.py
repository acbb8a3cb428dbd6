"""The wire. Bytes only.

This package opens sockets, runs TLS over them and moves bytes between the network and handlers. It
must not know what the bytes mean: no IRC, no accounts, no configuration, no policy. It imports
``securechat.errors`` and nothing else of the project.

Concepts:

- ``TlsPipe`` (``tls_pipe``): TLS as a sans-I/O object over two memory BIOs; no socket inside.
- ``Pipe`` (``pipe``): what a connection needs of it; TLS inside of TLS is one too.
- ``Connection`` (``connection``): one socket, one ``Pipe``, its handler, what waits to be sent.
- ``Encoder`` (``connection``): may put what is queued into another form, last before TLS.
- ``IoThread`` (``io_thread``): a selector that owns many connections. *One TLS object is touched by
  one thread for its whole life*; all other threads hand work over through the thread's inbox.
- ``server_end_point`` (``channel_binding``): what a login may be bound to.
- ``Listener`` (``listener``) accepts; ``dial`` (``dialer``) connects, and so does a ``Dial``, which
  does not wait.
- ``start_thread``, ``make_lock``, ``Timers``, ``TokenBucket``: the small parts of the above.

Where this differs from a plain queue for each connection: a message for many connections is posted
to each I/O thread **once**, as one inbox entry with the groups of its recipients. So the poster
(who holds the relay's network lock) does work for each I/O thread and not for each member, the
inbox keeps the one order that all members must see, and the owning thread can join consecutive
entries for the same recipients before it hands them on, encrypts and sends. See ``IoThread.send``.
There is one such thread unless it is configured: while Python has a GIL, two would mostly hand it
to each other.
"""
