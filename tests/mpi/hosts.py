"""Four hosts on one machine: network namespaces on a bridge, each with its own name, address, /etc/hosts and /dev/shm.

A host's processes see only its interface, so that what goes between nodes is real TCP between real addresses, and a cut
cable is an interface that is down.
"""
import os
import pathlib
import shutil
import subprocess

from harness import World, wait_until

NET = "10.83.77"  # of the bridge, which no interface of this machine is in
ENTER = 'hostname {name} && mount --make-rprivate / && mount -t tmpfs tmpfs /dev/shm && exec "$@"'


def refusal():
    """Why hosts cannot be made here; None: they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        return "no iproute2, or no unshare"
    name = f"hq{os.getpid()}-try"
    made = subprocess.run(["ip", "netns", "add", name], stderr=subprocess.PIPE, text=True)
    if made.returncode != 0:
        return f"network namespaces are not allowed here: {made.stderr.strip()}"
    entered = subprocess.run(["ip", "netns", "exec", name, "unshare", "--uts", "--mount", "true"], stderr=subprocess.PIPE, text=True)
    subprocess.run(["ip", "netns", "del", name], check=True)
    return f"hosts cannot have names of their own: {entered.stderr.strip()}" if entered.returncode != 0 else None


def ip(*words, netns=None):
    subprocess.run(["ip", *(["-n", netns] if netns else []), *words], check=True)


class Hosts:
    """login and n1 to n4."""

    NAMES = ("login", "n1", "n2", "n3", "n4")

    def __init__(self):
        self.mark = f"hq{os.getpid()}"
        self.addresses = {name: f"{NET}.{i + 1}" for i, name in enumerate(self.NAMES)}
        self.switch = f"{self.mark}-net"
        ip("netns", "add", self.switch)
        ip("link", "add", "br0", "type", "bridge", netns=self.switch)
        ip("link", "set", "br0", "up", netns=self.switch)
        table = "127.0.0.1 localhost\n" + "".join(f"{self.addresses[n]} {n}\n" for n in self.NAMES)
        for name in self.NAMES:
            netns = self.netns(name)
            ip("netns", "add", netns)
            etc = pathlib.Path("/etc/netns") / netns
            etc.mkdir(parents=True)
            (etc / "hosts").write_text(table)
            ip("link", "add", name, "netns", self.switch, "type", "veth", "peer", "name", "eth0", "netns", netns)
            ip("link", "set", name, "master", "br0", "up", netns=self.switch)
            ip("addr", "add", f"{self.addresses[name]}/24", "dev", "eth0", netns=netns)
            ip("link", "set", "eth0", "up", netns=netns)
            ip("link", "set", "lo", "up", netns=netns)

    def netns(self, name):
        return f"{self.mark}-{name}"

    def inside(self, name, argv):
        """argv as it runs on a host."""
        return ["ip", "netns", "exec", self.netns(name), "unshare", "--uts", "--mount", "sh", "-c", ENTER.format(name=name), "sh",
                *map(str, argv)]

    def cut(self, a, b):
        """No packet between two hosts any more, in either direction; all others still hear both."""
        for x, y in ((a, b), (b, a)):
            ip("route", "add", "blackhole", f"{self.addresses[y]}/32", netns=self.netns(x))

    def mend(self, a, b):
        for x, y in ((a, b), (b, a)):
            ip("route", "del", "blackhole", f"{self.addresses[y]}/32", netns=self.netns(x))

    def unplug(self, name):
        ip("link", "set", name, "down", netns=self.switch)

    def plug(self, name):
        ip("link", "set", name, "up", netns=self.switch)

    def close(self):
        for name in self.NAMES:
            subprocess.run(["ip", "netns", "del", self.netns(name)], check=False)
            shutil.rmtree(pathlib.Path("/etc/netns") / self.netns(name), ignore_errors=True)
        subprocess.run(["ip", "netns", "del", self.switch], check=False)


class HostsWorld(World):
    """hqd on login, a worker on each of n1 to n4."""

    def __init__(self, hosts):
        super().__init__()
        self.hosts = hosts
        self.workers_of = {}

    def daemon_on(self, host, name, *args, env=None):
        return self.daemon(f"{host}-{name}", self.hosts.inside(host, [self.bin / "hq", *args]), env=env)

    def start(self, cpus=4, names=("n1", "n2", "n3", "n4")):
        self.server = self.daemon_on("login", "server", "server", "start", f"--host={self.hosts.addresses['login']}")
        self.server.wait_for_out("Journal path")
        for name in names:
            self.start_node(name, cpus)
        return self

    def start_node(self, name, cpus=4):
        worker = self.daemon_on(name, "worker", "worker", "start", f"--cpus={cpus}", "--heartbeat=1s")
        worker.wait_for_out("Manager Job ID")
        self.workers_of[name] = worker
        return worker

    def make_whole(self):
        """Workers that a test ended are there again, and known; those are gone that it cut off."""
        for name in ("n1", "n2", "n3", "n4"):
            if not self.workers_of[name].running():
                self.start_node(name)
        wait_until(lambda: len(self.running_workers()) == 4, "four workers")

    def node_of(self, pid):
        """Name of the host whose network a process is in."""
        there = os.stat(f"/proc/{pid}/ns/net").st_ino
        for name in self.hosts.NAMES:
            if os.stat(f"/run/netns/{self.hosts.netns(name)}").st_ino == there:
                return name
        return None

    def worker_host(self, worker):
        return self.workers()[worker]["configuration"]["hostname"]

    def processes(self, job):
        """{pid: (node, name)} of what runs of a job, by the task's environment."""
        found = {}
        for pid in self.leftovers():
            try:
                words = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                if f"HQ_JOB_ID={job}".encode() in words:
                    found[pid] = (self.node_of(pid), pathlib.Path(f"/proc/{pid}/comm").read_text().strip())
            except OSError:
                continue
        return found
