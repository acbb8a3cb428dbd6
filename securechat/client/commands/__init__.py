"""The slash-commands: one table, made of modules by what the commands are about.

``table`` says how a command is described, ``dispatch`` finds and runs one. A face may add its own.
"""

__all__ = []
