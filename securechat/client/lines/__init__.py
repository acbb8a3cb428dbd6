"""The interfaces that speak in lines.

``line_mode`` on a ``terminal`` with a ``line_editor``; ``pipe_mode`` for scripts; ``file_mode``,
with a ``file_console``, for files.
"""

__all__ = []
