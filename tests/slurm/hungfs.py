"""A filesystem that hangs: mounted, and nobody answers what is asked of it, until end()."""
import ctypes
import os
import pathlib

MNT_DETACH = 2


class HungFilesystem:
    """Over an existing directory; as root."""

    def __init__(self, path):
        self.path = os.fsencode(path)
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={self.fd},rootmode=40000,user_id=0,group_id=0".encode()
        if self.libc.mount(b"hung", self.path, b"fuse", 0, options) != 0:
            os.close(self.fd)
            raise OSError(ctypes.get_errno(), "mount")

    def holds(self, pid):
        """Does a thread of the process wait for an answer?"""
        return any("request_wait" in wchan.read_text() or "fuse" in wchan.read_text() for wchan in pathlib.Path(f"/proc/{pid}/task").glob("*/wchan"))

    def end(self):
        """Whoever hangs in it gets an error."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            self.libc.umount2(self.path, MNT_DETACH)
