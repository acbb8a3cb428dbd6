"""The full-screen client (Textual; the extra ``tui``).

It knows the events and methods of ``Client`` through ``Chat`` and its buffers, nothing below. All
of it runs on Textual's thread; the I/O threads of the clients wake it by ``post_message``.
"""

__all__ = []
