"""Stands in for the hq-workerds of one step: starts an hq-stepd per node on this machine and carries their frames.

With it hq-stepd is tested alone: lost nodes, damaged frames and slow links are made here, not hoped for.
"""
import argparse
import os
import pathlib
import selectors
import socket
import struct
import subprocess
import sys
import tempfile
import time

FRAME_MAX = 1 << 20
HELLO, START, UP, GO, FENCE, OUTPUT, ENDED, ABORT, NODE_LOST = range(3, 12)


# ---- as much of protobuf as step.proto needs
def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def field(number, value):
    """An integer, bytes, or a packed list; zero and empty are left out, as proto3 does."""
    if isinstance(value, list):
        value = b"".join(varint(v) for v in value)
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value if value else b""
    return varint(number << 3) + varint(value) if value else b""


def message(number, body):
    return varint(number << 3 | 2) + varint(len(body)) + body


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def decode(data):
    """{number: last value}; nested messages stay bytes."""
    fields, at = {}, 0
    while at < len(data):
        key, at = read_varint(data, at)
        if key & 7 == 0:
            value, at = read_varint(data, at)
        elif key & 7 == 2:
            size, at = read_varint(data, at)
            value, at = data[at:at + size], at + size
        else:
            raise ValueError(f"wire type {key & 7}")
        fields[key >> 3] = value
    return fields


def signed(value):  # sint32
    return value >> 1 ^ -(value & 1)


def encode(sender, to, what, body=b""):
    return field(1, sender) + field(2, to) + message(what, body)


class Node:
    def __init__(self, index, path):
        self.index = index
        self.dir = path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path / "socket"))
        self.listener.listen()
        self.conn = None
        self.data = bytearray()
        self.process = None
        self.ended_at = None

    def send(self, frame):
        if self.conn is not None:
            try:
                self.conn.sendall(struct.pack("<I", len(frame)) + frame)
            except OSError:
                pass


class Step:
    """ranks: a number for each node."""

    def __init__(self, stepd, ranks, argv, *, cpus=(), cpus_per_rank=0, oversubscribe=True, tag=False, wire_up=0,
                 stdout="", stderr="", env=None, stdin=subprocess.DEVNULL):
        self.home = tempfile.TemporaryDirectory(prefix="hq-pump-")
        self.ranks = ranks
        self.start = dict(cpus=list(cpus), stdout=stdout, stderr=stderr, job=os.getpid())
        self.mpi = field(3, cpus_per_rank) + field(4, int(oversubscribe)) + field(5, int(tag)) + field(6, wire_up)
        self.selector = selectors.DefaultSelector()
        self.nodes = []
        self.filter = None  # called with (from, to, what, body); False: the frame is lost
        self.counts = {}
        self.to_worker = []
        for index in range(len(ranks)):
            path = pathlib.Path(self.home.name) / f"n{index}"
            path.mkdir()
            self.nodes.append(Node(index, path))
            self.selector.register(self.nodes[-1].listener, selectors.EVENT_READ, self.nodes[-1])
        self.out = open(pathlib.Path(self.home.name) / "out", "w+b")
        self.err = open(pathlib.Path(self.home.name) / "err", "w+b")
        for node in self.nodes:
            node_env = dict(os.environ if env is None else env)
            (node.dir / "task").mkdir()
            node_env.update(HQ_ACCESS_KEY=f"{node.dir}/socket:secret{node.index}", HQ_TASK_DIR=str(node.dir / "task"),
                            HQ_ERROR_FILENAME=str(node.dir / "task/hq-error"))
            # Nodes differ by name, in the kernel too: MPI libraries name their shared memory by it.
            named = ["unshare", "--uts", "sh", "-c", f'hostname n{node.index} && exec "$@"', "sh"]
            node.process = subprocess.Popen(
                [*(named if len(ranks) > 1 and os.geteuid() == 0 else []), stepd, "ranks", *argv], env=node_env,
                cwd=self.home.name, start_new_session=True,
                stdin=stdin if node.index == 0 else subprocess.DEVNULL,
                stdout=self.out if node.index == 0 else self.err, stderr=self.err)

    def frame_start(self, node):
        nodes = b"".join(message(4, field(1, f"n{i}".encode()) + field(4, count)) for i, count in enumerate(self.ranks))
        body = (field(1, self.start["job"]) + field(2, 0) + nodes + field(5, node.index) + message(6, self.mpi)
                + field(7, self.start["cpus"]) + field(8, self.start["stdout"].encode())
                + field(9, self.start["stderr"].encode()) + field(10, b"PUMP01"))
        return encode(node.index, node.index, START, body)

    def on_frame(self, node, frame):
        fields = decode(frame)
        what = next(k for k in fields if k > 2)
        to = fields.get(2, 0)
        self.counts[what] = self.counts.get(what, 0) + 1
        if what == HELLO:
            hello = decode(fields[what])
            assert hello[1] == f"secret{node.index}".encode(), hello
            node.send(self.frame_start(node))
            return
        assert fields.get(1, 0) == node.index, "the sender says who it is"
        if to == node.index:
            self.to_worker.append((node.index, what, fields[what]))
        elif self.filter is None or self.filter(node.index, to, what, fields[what]) is not False:
            self.nodes[to].send(frame)

    def lost(self, a, b):
        """The link between two nodes is cut."""
        self.nodes[a].send(encode(a, a, NODE_LOST, field(1, b) + field(2, b"no answer for 2 s")))
        self.nodes[b].send(encode(b, b, NODE_LOST, field(1, a) + field(2, b"no answer for 2 s")))

    def read(self, node):
        chunk = b""
        try:
            chunk = node.conn.recv(1 << 16)
        except OSError:
            pass
        if not chunk:
            self.selector.unregister(node.conn)
            node.conn.close()
            node.conn = None
            return
        node.data += chunk
        while len(node.data) >= 4:
            size = struct.unpack("<I", node.data[:4])[0]
            assert size <= FRAME_MAX, size
            if len(node.data) < 4 + size:
                break
            frame = bytes(node.data[4:4 + size])
            del node.data[:4 + size]
            self.on_frame(node, frame)

    def turn(self, timeout=0.05):
        """Carries what is there; true while an hq-stepd runs."""
        for key, _ in self.selector.select(timeout):
            node = key.data
            if key.fileobj is node.listener and node.conn is None:
                node.conn, _ = node.listener.accept()
                self.selector.register(node.conn, selectors.EVENT_READ, node)
            elif key.fileobj is not node.listener:
                self.read(node)
        alive = False
        for node in self.nodes:
            if node.ended_at is None and node.process.poll() is not None:
                node.ended_at = time.monotonic()
            alive = alive or node.ended_at is None
        return alive

    def run_until(self, condition, seconds=20):
        end = time.monotonic() + seconds
        while not condition():
            alive = self.turn()
            assert alive or condition(), f"ended early: {self.texts()}"
            assert time.monotonic() < end, f"not in time: {self.texts()}"

    def run(self, seconds=30):
        end = time.monotonic() + seconds
        while self.turn():
            if time.monotonic() > end:
                self.kill()
                raise AssertionError(f"hq-stepd did not end: {self.texts()}")
        return self.nodes[0].process.returncode

    def texts(self):
        for f in (self.out, self.err):
            f.flush()
        return tuple(pathlib.Path(f.name).read_text(errors="replace") for f in (self.out, self.err))

    def error(self, node=0):
        path = self.nodes[node].dir / "task/hq-error"
        return path.read_text() if path.exists() else ""

    def kill(self):
        for node in self.nodes:
            if node.process.poll() is None:
                node.process.kill()
                node.process.wait()

    def close(self):
        self.kill()
        for node in self.nodes:
            node.listener.close()
            if node.conn is not None:
                node.conn.close()
        self.selector.close()
        self.out.close()
        self.err.close()
        self.home.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def main():
    parser = argparse.ArgumentParser(description="run a program as the ranks of one step, without hqd and hq-workerd")
    parser.add_argument("--stepd", required=True)
    parser.add_argument("--ranks", required=True, help="per node: 2,2")
    parser.add_argument("--wire-up", type=int, default=0)
    parser.add_argument("--tag", action="store_true")
    parser.add_argument("argv", nargs="+")
    args = parser.parse_args()
    with Step(args.stepd, [int(n) for n in args.ranks.split(",")], args.argv, tag=args.tag, wire_up=args.wire_up) as step:
        code = step.run()
        out, err = step.texts()
        sys.stdout.write(out)
        sys.stderr.write(err)
        if code != 0:
            sys.stderr.write(step.error() + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
