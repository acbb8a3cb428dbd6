"""Setting up a network for somebody who has never done that; without a screen.

``setup`` is the way through the steps, ``answers`` what is asked in them and ``result`` what comes
of it; ``trial`` is one real connection. ``ca_file`` looks at the file of a CA, ``ca_fetch`` gets
that of an invite link; ``failures`` says in plain words why a connection has failed.
"""

__all__ = []
