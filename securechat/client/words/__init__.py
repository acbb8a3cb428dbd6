"""How things are said: the languages, how events read, and what keeps a terminal safe.

- ``translation``  English in the code, other languages from ``locale/``
- ``safe_text``    guards the terminal against what others write
- ``wording``      how events read, with ``peer_wording`` for peers and ``refusals`` for what a
  server refuses
"""

__all__ = []
