"""The process's limit of open files, of which each connection needs one."""

from __future__ import annotations

import resource


def open_files_allowed() -> int:
    """Raises the limit to all that the process may have, and gives it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
