"""The wire format of nng by hand: for peers that say what no real one would."""
import json
import os
import socket
import struct

REQ, REP, PUB, SUB = 0x30, 0x31, 0x20, 0x21
FRAME_MAX = (1 << 20) + 4096


class Door:
    """One place where a daemon listens: TCP port or socket file."""

    def __init__(self, name, address):
        self.name, self.address = name, address

    def __repr__(self):
        return self.name

    @property
    def is_tcp(self):
        return isinstance(self.address, tuple)

    def connect(self, timeout=10.0):
        peer = socket.socket(socket.AF_INET if self.is_tcp else socket.AF_UNIX, socket.SOCK_STREAM)
        peer.connect(self.address)  # blocking: a full backlog makes a local socket's connect wait instead of failing
        peer.settimeout(timeout)
        return peer

    def frame(self, body, length=None):
        head = struct.pack(">Q", len(body) if length is None else length)
        return (b"" if self.is_tcp else b"\x01") + head + body

    def request(self, payload, number=1):
        return self.frame(struct.pack(">I", 0x80000000 | number) + payload)

    def greet(self, protocol=REQ, timeout=10.0):
        peer = self.connect(timeout)
        peer.sendall(hello(protocol))
        return peer


def hello(protocol=REQ):
    return b"\x00SP\x00" + struct.pack(">H", protocol) + b"\x00\x00"


def reset(peer):
    """Ends by RST instead of FIN."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def doors(world):
    """Everything that hqd listens on: both ports of the access file and each socket of the instance."""
    access = world.access()
    found = [Door("client-port", ("127.0.0.1", access["client"]["port"])), Door("worker-port", ("127.0.0.1", access["worker"]["port"]))]
    for entry in sorted(os.scandir(world.instance_dir()), key=lambda item: item.name):
        if os.path.exists(entry.path) and not entry.is_file() and not entry.is_dir():
            found.append(Door(entry.name, entry.path))
    return found


def listening_ports(pid):
    """TCP ports on which a process listens."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    ports = set()
    for table in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{table}", encoding="ascii") as file:
            for line in list(file)[1:]:
                words = line.split()
                if words[3] == "0A" and words[9] in inodes:
                    ports.add(int(words[1].rsplit(":", 1)[1], 16))
    return sorted(ports)


def access_copy(world, name, change):
    directory = world.root / name
    directory.mkdir()
    record = world.access()
    change(record)
    (directory / "access.json").write_text(json.dumps(record, indent=2))
    return directory
