"""Many relays, one chat: what makes them apply the same events in the same order.

- ``event_codec``  events as plain values, which are sent from relay to relay
"""
