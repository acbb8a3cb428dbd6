"""Setting up a network for somebody who has never done that; without a screen.

``setup`` is the steps, ``trial`` one real connection, ``ca_file`` the file of a CA; ``failures``
says in plain words why a connection has failed.
"""

__all__ = []
