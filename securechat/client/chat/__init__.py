"""One person at one network, without a face: what all user interfaces have in common.

- ``chat``            takes what is typed and what happens
- ``conversations``   puts events into ``buffers``, which are windows onto conversations;
  ``scrollback`` brings history into them
- ``routing``         which way a text goes, in a session or through the relay; ``outgoing`` keeps
  texts over a lost connection
- ``peer_desk``       what peers leave for the user to do
- ``completion``      what Tab may put in, with ``emoji_names``
- ``typing_notifier`` when others are told that we are typing
"""

__all__ = []
