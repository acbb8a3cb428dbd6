"""Many relays, one chat: what makes them apply the same events in the same order.

The order comes from a stream of NATS JetStream, accounts and history are in a PostgreSQL that all
share. The chat itself does not know: ``log`` is an ``EventLog`` whose events come back later, and
``keeping`` a store that writes only at one relay.

- ``cluster``      the parts of one relay of several, made, joined and left
- ``log``          what is proposed goes into the stream; what comes from it is applied
- ``subjects``     which relays need an event, in its subject
- ``event_codec``  events as plain values, which are sent from relay to relay
- ``nats_stream``  the stream itself: the one module that uses nats-py, and its thread;
                   ``nats_values`` what NATS is told and says
- ``membership``   who is there, how the others do, who is lost
- ``keeping``      which relay writes the state into the database
- ``snapshots``    the state at some event, where a relay starts
- ``tally``        what is counted of all this

What is held:

1. Every relay applies the events of the state in the stream's order, and of what is said what its
   sessions need. So all come to the same state, and all members of a room see one order.
2. An event is applied once, whatever becomes of relays, NATS servers and connections meanwhile; who
   has proposed it hears what has become of it, unless their own relay is lost.
3. A message that was acknowledged is in the history once: the acknowledgement waits for its commit.
4. A relay that cannot hear the others changes nothing, and says so. One that the others take for
   lost ends its sessions and joins anew.

Under the network lock nothing waits, as with one relay: proposing only hands on bytes.
"""
