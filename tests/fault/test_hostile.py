"""Peers that talk nonsense, stall, lie or replay: dropped, logged seldom, costing nothing; the next good client is served."""
import os
import random
import re
import socket
import statistics
import struct
import threading
import time

import pytest

import sp
from harness import SAN, fd_count, rss_kb, wait_until

NOISE = random.Random(20260131)


def noise(count):
    return NOISE.randbytes(count)


# Each kind of bad peer: does its deed on a door and returns a socket to keep open, or None.
def connect_close(door):
    door.connect().close()


def connect_reset(door):
    sp.reset(door.connect())


def partial_hello(door):
    peer = door.connect()
    peer.sendall(sp.hello()[:5])
    peer.close()


def half_close(door):
    peer = door.connect()
    peer.shutdown(socket.SHUT_WR)
    peer.close()


def http_request(door):
    peer = door.connect()
    peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    peer.close()


def noise_after_hello(door):
    peer = door.greet()
    peer.sendall(noise(200))
    peer.close()


def wrong_protocol(door):
    door.greet(sp.PUB).close()


def announces_too_much(door):
    peer = door.greet()
    peer.sendall(door.frame(b"x", length=sp.FRAME_MAX + 1000))
    peer.close()


def announces_the_moon(door):
    peer = door.greet()
    peer.sendall(door.frame(b"x", length=1 << 62))
    peer.close()


def too_short(door):
    peer = door.greet()
    peer.sendall(door.frame(b"abc") + door.frame(b""))
    peer.close()


def endless_route(door):
    peer = door.greet()
    peer.sendall(door.frame(b"\x00\x00\x00\x01" * 64))
    peer.close()


def noise_as_request(door):
    peer = door.greet()
    peer.sendall(door.request(noise(NOISE.choice((0, 1, 15, 16, 17, 48, 96, 500)))))
    peer.close()


def zeros_as_request(door):
    peer = door.greet()
    peer.sendall(door.request(bytes(64)))
    peer.close()


def plain_envelope(door):
    """A well-formed plain request on a sealed port; on ipc a type that nobody knows."""
    peer = door.greet()
    peer.sendall(door.request(b"HQ" + struct.pack("<BBHHQ", 1, 0, 9999, 0, 1)))
    peer.close()


def other_version(door):
    peer = door.greet()
    peer.sendall(door.request(b"HQ" + struct.pack("<BBHHQ", 99, 0, 16, 0, 1)))
    peer.close()


def damaged_message(door):
    peer = door.greet()
    peer.sendall(door.request(b"HQ" + struct.pack("<BBHHQ", 1, 0, 20, 0, 1) + b"\xff" * 40))
    peer.close()


def requests_then_reset(door):
    peer = door.greet()
    peer.sendall(b"".join(door.request(noise(64), number) for number in range(8)))
    sp.reset(peer)


QUICK = [connect_close, connect_reset, partial_hello, half_close, http_request, noise_after_hello, wrong_protocol, announces_too_much,
         announces_the_moon, too_short, endless_route, noise_as_request, zeros_as_request, plain_envelope, other_version,
         damaged_message, requests_then_reset]


def strike(kind, door):
    """One bad peer; that the daemon hangs up first is its right."""
    try:
        return kind(door)
    except (BrokenPipeError, ConnectionError, socket.timeout):
        return None


def good_client_seconds(world, tries=5):
    spent = []
    for _ in range(tries):
        begin = time.monotonic()
        world.hq("server", "info")
        spent.append(time.monotonic() - begin)
    return statistics.median(spent)


@pytest.mark.parametrize("kind", QUICK, ids=lambda kind: kind.__name__)
def test_each_kind_on_each_door(cluster, kind):
    """A good client and the worker are served after fifty of them on every port and socket."""
    for door in sp.doors(cluster):
        for _ in range(50):
            strike(kind, door)
        directory = cluster.root / f"tcp-{door.name}"
        sp.access_copy(cluster, directory.name, lambda record: None)
        assert cluster.hq("--server-dir", directory, "server", "info", timeout=10).status == 0
        assert cluster.hq("server", "info", timeout=10).status == 0
    job = cluster.submit("--wait", "true", timeout=15)
    assert cluster.stats(job)["finished"] == 1
    assert cluster.server.running() and cluster.running_workers() == [1]


@pytest.mark.limit(60)
def test_ten_thousand_bad_peers(cluster):
    """Memory within 1 MB of before, all descriptors back, the next good client as fast, few log lines."""
    doors = sp.doors(cluster)
    kinds = [kind for kind in QUICK if kind is not partial_hello]
    for number in range(600):  # what is allocated once and kept is no leak
        strike(kinds[number % len(kinds)], doors[number % len(doors)])
    seconds = good_client_seconds(cluster)
    wait_until(lambda: fd_count(cluster.server.pid) < 80, "the first ones gone")
    before_kb, before_fds = rss_kb(cluster.server.pid), fd_count(cluster.server.pid)
    log_before = len(cluster.server.err().splitlines())
    for number in range(10000 if not SAN else 1000):
        strike(kinds[NOISE.randrange(len(kinds))], doors[number % len(doors)])
    wait_until(lambda: fd_count(cluster.server.pid) <= before_fds, "all descriptors back")
    after = good_client_seconds(cluster)
    lines = len(cluster.server.err().splitlines()) - log_before
    assert lines < 1000, f"{lines} log lines for 10,000 peers"
    assert cluster.running_workers() == [1] and cluster.server.running()
    assert after <= 2 * seconds + 0.05, f"a good client took {seconds:.4f} s before, {after:.4f} s after"
    if not SAN:  # a sanitizer keeps freed memory; the allocator gives it back when the flood has ebbed
        wait_until(lambda: rss_kb(cluster.server.pid) - before_kb <= 1024, "the memory given back")


def test_silent_peers(cluster):
    """Half-open connections: they are dropped in time, and hold nobody up meanwhile."""
    doors = sp.doors(cluster)
    before = fd_count(cluster.server.pid)
    peers = [doors[number % len(doors)].connect() for number in range(200)]
    peers += [doors[number % len(doors)].greet() for number in range(100)]
    assert cluster.hq("server", "info", timeout=5).status == 0
    job = cluster.submit("--wait", "true")
    assert cluster.stats(job)["finished"] == 1
    wait_until(lambda: fd_count(cluster.server.pid) <= before + 100, "the silent ones dropped", timeout=30)
    for peer in peers:
        peer.close()
    wait_until(lambda: fd_count(cluster.server.pid) <= before, "all descriptors back")


def test_announce_and_stall(cluster):
    """A hundred peers announce a megabyte each and stop: the server grows by no more than what they sent."""
    door = sp.doors(cluster)[0]
    before = rss_kb(cluster.server.pid)
    peers = []
    for _ in range(100):
        peer = door.greet()
        peer.sendall(door.frame(struct.pack(">I", 0x80000001) + bytes(100), length=1 << 20))
        peers.append(peer)
    assert cluster.hq("server", "info", timeout=5).status == 0
    assert SAN or rss_kb(cluster.server.pid) - before < 8192
    for peer in peers:
        peer.close()
    job = cluster.submit("--wait", "true")
    assert cluster.stats(job)["finished"] == 1


def test_peer_that_never_reads(cluster):
    """Requests without end, no answer taken: bounded, and no stall for others."""
    for door in sp.doors(cluster):
        peer = door.greet(timeout=1.0)
        payload = b"HQ" + struct.pack("<BBHHQ", 1, 0, 16, 0, 7)
        try:
            for number in range(20000):
                peer.sendall(door.request(payload, number))
        except (socket.timeout, ConnectionError):
            pass
        assert cluster.hq("server", "info", timeout=5).status == 0
        peer.close()
    assert cluster.running_workers() == [1]
    assert SAN or rss_kb(cluster.server.pid) < 64 * 1024


@pytest.mark.parametrize("side", ["client", "worker"])
def test_wrong_key(server, side):
    directory = sp.access_copy(server, "wrong", lambda record: record[side].update(secret_key="ab" * 32))
    if side == "client":
        failed = server.hq("--server-dir", directory, "job", "list", check=False, timeout=20)
        access = server.access()["client"]
        assert failed.status == 1
        assert f"Access token found but HQ server {access['host']}:{access['port']} is unreachable." in failed.err
    else:
        failed = server.hq("--server-dir", directory, "worker", "start", "--cpus=1", check=False, timeout=30)
        assert failed.status == 1 and server.workers() == {}
    assert server.hq("job", "list").status == 0


def test_secrets_are_for_one_role(server):
    """A worker's secret cannot ask as a client; a client's cannot join as a worker."""
    def swap(record):
        record["client"]["secret_key"], record["worker"]["secret_key"] = record["worker"]["secret_key"], record["client"]["secret_key"]

    directory = sp.access_copy(server, "swapped", swap)
    assert server.hq("--server-dir", directory, "submit", "true", check=False, timeout=20).status == 1
    assert server.hq("--server-dir", directory, "worker", "start", "--cpus=1", check=False, timeout=30).status == 1
    # nor does the right secret at the other port help
    crossed = sp.access_copy(server, "crossed", lambda record: record["client"].update(port=record["worker"]["port"]))
    assert server.hq("--server-dir", crossed, "submit", "true", check=False, timeout=20).status == 1
    assert server.jobs() == {} and server.workers() == {}


def test_no_key_never_passes_for_one(server):
    """A side with a key takes no plain frames."""
    directory = sp.access_copy(server, "plain", lambda record: record["client"].update(secret_key=None))
    assert server.hq("--server-dir", directory, "submit", "true", check=False, timeout=20).status == 1
    assert server.jobs() == {}


class Recorder:
    """A TCP relay that keeps what clients sent, connection by connection."""

    def __init__(self, port):
        self.port, self.sent = port, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.port))
            kept = bytearray()
            self.sent.append(kept)
            threading.Thread(target=self.pump, args=(client, server, kept), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client, None), daemon=True).start()

    @staticmethod
    def pump(source, target, kept):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                if kept is not None:
                    kept += data
                target.sendall(data)
        except OSError:
            pass
        try:
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def test_replayed_messages(server):
    """What a client sent, sent again by somebody who listened: nothing happens, and the text cannot be read."""
    access = server.access()
    relay = Recorder(access["client"]["port"])

    def through(record):
        record["client"]["host"], record["client"]["port"] = relay.address

    directory = sp.access_copy(server, "relay", through)
    secret_word = "xylophone-quartz"
    assert server.hq("--server-dir", directory, "submit", f"--name={secret_word}", "true").status == 0
    assert list(server.jobs()) == [1]
    recorded = [bytes(kept) for kept in relay.sent if kept]
    assert recorded and all(secret_word.encode() not in kept for kept in recorded)
    door = sp.Door("client-port", ("127.0.0.1", access["client"]["port"]))
    for kept in recorded:
        for _ in range(20):
            peer = door.connect()
            peer.sendall(kept)
            peer.shutdown(socket.SHUT_WR)
            peer.settimeout(5)
            try:
                while peer.recv(65536):
                    pass
            except (socket.timeout, ConnectionError):
                pass
            peer.close()
    relay.listener.close()
    assert list(server.jobs()) == [1], "a replayed submit made a job"
    assert server.submit("true") == 2


def test_worker_ports(cluster):
    """Whatever hq-workerd listens on survives nonsense as well."""
    ports = sp.listening_ports(cluster.worker.pid)
    assert ports, "the data provider's port"
    before = rss_kb(cluster.worker.pid)
    for port in ports:
        door = sp.Door("worker", ("127.0.0.1", port))
        for number in range(500):
            strike(QUICK[number % len(QUICK)], door)
    job = cluster.submit("--wait", "true")
    assert cluster.stats(job)["finished"] == 1 and cluster.running_workers() == [1]
    assert SAN or rss_kb(cluster.worker.pid) - before <= 1024


def test_other_ports_of_the_server(cluster):
    """Ports that the access file does not name (notes) too."""
    access = cluster.access()
    others = set(sp.listening_ports(cluster.server.pid)) - {access["client"]["port"], access["worker"]["port"]}
    for port in others:
        door = sp.Door("other", ("127.0.0.1", port))
        for number in range(500):
            strike(QUICK[number % len(QUICK)], door)
    waiter = cluster.spawn_hq("job", "wait", cluster.submit("sh", "-c", f"while [ ! -e {cluster.work}/gate ]; do sleep 0.02; done"))
    (cluster.work / "gate").touch()
    assert waiter.wait() == 0


def test_foreign_user_on_the_socket(cluster):
    """Only the server's own user may come in by the socket."""
    if os.geteuid() != 0:
        pytest.skip("becoming another user needs root")
    sockets = [door for door in sp.doors(cluster) if not door.is_tcp]
    assert sockets, "a socket in the instance directory"
    os.chmod(cluster.root, 0o755)
    for directory in (cluster.home, cluster.server_dir, cluster.instance_dir()):
        os.chmod(directory, 0o755)
    for door in sockets:
        os.chmod(door.address, 0o777)
    import subprocess
    copy = sp.access_copy(cluster, "foreign", lambda record: None)
    os.chmod(copy / "access.json", 0o444)
    program = cluster.root / "hq"
    import shutil
    shutil.copy2(cluster.bin / "hq", program)
    text = (cluster.instance_dir() / "access.json")
    os.chmod(text, 0o444)
    endpoint = cluster.instance_dir() / "endpoint"
    if endpoint.exists():
        os.chmod(endpoint, 0o444)
    by_key = subprocess.run([str(program), "--server-dir", str(copy), "job", "list"], env=cluster.env, user=65534, group=65534, extra_groups=[],
                            capture_output=True, text=True, timeout=20, cwd="/")
    assert by_key.returncode == 0, "the key admits whoever can read it: " + by_key.stderr
    for door in sockets:
        code = ("import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.settimeout(5)\ns.connect(sys.argv[1])\n"
                "d=b''\ntry:\n  s.sendall(bytes.fromhex(sys.argv[2]))\n  s.sendall(bytes.fromhex(sys.argv[3]))\n"
                "  while True:\n    c=s.recv(65536)\n    if not c: break\n    d+=c\nexcept OSError: pass\nsys.exit(1 if len(d)>8 else 0)\n")
        request = door.request(b"HQ" + struct.pack("<BBHHQ", 1, 0, 16, 0, 7))
        done = subprocess.run(["/usr/bin/python3", "-c", code, door.address, sp.hello().hex(), request.hex()], user=65534, group=65534,
                              extra_groups=[], capture_output=True, text=True, timeout=20, cwd="/")
        assert done.returncode == 0, f"a foreign user got an answer: {done.stderr}"
    assert cluster.hq("server", "info").status == 0


def test_bad_peers_are_logged(cluster):
    door = sp.doors(cluster)[0]
    peer = door.greet()
    peer.sendall(door.request(b"no message at all"))
    wait_until(lambda: re.search(r"WARN .*127\.0\.0\.1", cluster.server.err()), "a line that names the peer")
    peer.close()
