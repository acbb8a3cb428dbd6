"""The rules of the chat: what each event does to the state, one module for each group of them.

A rule is a function of (network, event). It checks the event against the state, for good, changes
the state and returns the effects; or it raises ``Refusal`` and has changed nothing. It reads no
clock, makes no ids and does no I/O.
"""
