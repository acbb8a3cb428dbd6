"""What a user has set, and where it is kept.

- ``profiles``   networks, theme and notifications in one TOML; ``profile_file`` changes it
- ``passwords``  where a password comes from; never that file
- ``address``    how a relay is named
- ``opening``    a network about to be opened
- ``downloads``  where files go
"""

__all__ = []
