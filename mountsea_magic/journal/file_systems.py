"""Which file systems SQLite's write-ahead log is safe on."""

from __future__ import annotations

import sys
from pathlib import Path

_LOCAL_FILE_SYSTEMS = frozenset(
    [
        "ext2",
        "ext3",
        "ext4",
        "xfs",
        "btrfs",
        "zfs",
        "f2fs",
        "bcachefs",
        "tmpfs",
        "overlay",
        "apfs",
        "hfs",
        "jfs",
    ]
)
"""Local file systems, where SQLite's write-ahead log is safe."""


def wal_is_safe(folder: Path, mounts: str | None = None) -> bool:
    r"""Return whether a folder's file system supports SQLite's write-ahead log; NFS does not.

    Args:
        folder: The folder.
        mounts: The content of ``/proc/self/mounts``; read if left out.

    Example:
        >>> wal_is_safe(Path("/home/ann"), "/dev/sda1 / ext4 rw 0 0\nhub:/x /home nfs4 rw 0 0")
        False
    """
    if mounts is None:
        if not sys.platform.startswith("linux"):
            return False  # not known there, and the rollback journal is safe everywhere
        try:
            mounts = Path("/proc/self/mounts").read_text("utf-8", "replace")
        except OSError:
            return False
        folder = folder.resolve()
    file_system, depth = "", -1
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        mount_point = Path(fields[1].replace("\\040", " "))
        # of two mounts on one point the later one hides the earlier
        if folder.is_relative_to(mount_point) and len(mount_point.parts) >= depth:
            file_system, depth = fields[2], len(mount_point.parts)
    return file_system in _LOCAL_FILE_SYSTEMS
