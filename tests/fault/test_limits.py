"""Out of descriptors, processes, time: tasks wait, none fails; stopped daemons and cut networks are survived."""
import os
import resource
import signal
import subprocess

import pytest

from harness import BIN, wait_until


def lower(kind, value):
    return lambda: resource.setrlimit(kind, (value, value))


def test_few_descriptors(server):
    """512 descriptors, 400 cpus, 5,000 tasks: all finish."""
    worker = server.start_worker("--cpus=400", preexec_fn=lower(resource.RLIMIT_NOFILE, 512))
    job = server.submit("--array=1-5000", "sleep", "0.2")
    stats = server.wait_job(job, timeout=55)
    assert stats["finished"] == 5000 and stats["failed"] == 0
    assert worker.running() and server.running_workers() == [1]


def test_very_few_descriptors(server):
    """Fewer than running tasks would need: the worker runs what it can at once."""
    worker = server.start_worker("--cpus=400", preexec_fn=lower(resource.RLIMIT_NOFILE, 120))
    job = server.submit("--array=1-800", "sleep", "0.1")
    stats = server.wait_job(job, timeout=55)
    assert stats["finished"] == 800 and worker.running()


def test_few_processes(world):
    """A limit on processes: as a user for whom the kernel enforces it."""
    if os.geteuid() != 0:
        pytest.skip("becoming another user needs root")
    for directory, _, _ in os.walk(world.root):
        os.chown(directory, 65534, 65534)
    probe = subprocess.run([str(BIN / "hq"), "--version"], user=65534, group=65534, extra_groups=[], capture_output=True)
    if probe.returncode != 0:
        pytest.skip("the programs lie where another user cannot run them")
    who = {"user": 65534, "group": 65534, "extra_groups": []}
    world.start_server(**who)
    worker = world.start_worker("--cpus=100", preexec_fn=lower(resource.RLIMIT_NPROC, 60), **who)
    job = subprocess.run([str(BIN / "hq"), "--output-mode=quiet", "submit", "--array=1-400", "sleep", "0.1"], env=world.env, cwd=world.work,
                         capture_output=True, text=True, timeout=20, check=True, **who).stdout.strip()
    subprocess.run([str(BIN / "hq"), "job", "wait", job], env=world.env, cwd=world.work, timeout=50, check=True, **who)
    done = subprocess.run([str(BIN / "hq"), "job", "task-ids", job, "--filter=finished"], env=world.env, cwd=world.work, capture_output=True,
                          text=True, timeout=20, check=True, **who)
    assert done.stdout == "1-400\n" and worker.running()


def test_stopped_server(cluster):
    """SIGSTOP of hqd for less than two heartbeats: clients wait, the worker stays, work goes on after it."""
    gate = cluster.work / "gate"
    job = cluster.submit("sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.02; done")
    cluster.wait_task(job, 0, "running")
    cluster.server.signal(signal.SIGSTOP)
    gate.touch()
    client = cluster.spawn_hq("job", "list", "--all")
    wait_until(lambda: open(f"/proc/{client.pid}/stat").read().rsplit(")", 1)[1].split()[0] == "S", "a client that waits")
    assert client.running()
    cluster.server.signal(signal.SIGCONT)
    assert client.wait() == 0
    assert cluster.wait_job(job)["finished"] == 1
    assert cluster.running_workers() == [1]


def test_stopped_worker_within_two_heartbeats(server):
    worker = server.start_worker("--heartbeat=4s")
    job = server.submit("--array=1-20", "true")
    worker.signal(signal.SIGSTOP)
    wait_until(lambda: open(f"/proc/{worker.pid}/stat").read().rsplit(")", 1)[1].split()[0] == "T", "the worker stopped")
    assert server.running_workers() == [1]
    worker.signal(signal.SIGCONT)
    assert server.wait_job(job)["finished"] == 20 and server.running_workers() == [1]


def test_stopped_task_does_not_stop_the_worker(cluster):
    job = cluster.submit("sh", "-c", "kill -STOP $$")
    cluster.wait_task(job, 0, "running")
    other = cluster.submit("--wait", "true")
    assert cluster.stats(other)["finished"] == 1
    cluster.hq("job", "cancel", job)
    after = cluster.submit("--wait", "--cpus=2", "true")  # the stopped one is really gone
    assert cluster.stats(after)["finished"] == 1


class Net:
    """Two network namespaces joined by a cable that can be pulled."""

    def __init__(self, mark):
        self.names = [f"hqt{mark}{side}" for side in "ab"]
        self.links = [f"v{mark}{side}" for side in "ab"]

    def run(self, *args, check=True):
        return subprocess.run(["ip", *args], capture_output=True, text=True, check=check)

    def make(self):
        for name in self.names:
            self.run("netns", "add", name)
        self.run("link", "add", self.links[0], "netns", self.names[0], "type", "veth", "peer", "name", self.links[1], "netns", self.names[1])
        for number, (name, link) in enumerate(zip(self.names, self.links), 1):
            self.run("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", link)
            self.run("-n", name, "link", "set", link, "up")
            self.run("-n", name, "link", "set", "lo", "up")

    def cut(self, is_cut):
        self.run("-n", self.names[1], "link", "set", self.links[1], "down" if is_cut else "up")

    def inside(self, side, *argv):
        return ["ip", "netns", "exec", self.names[side], *map(str, argv)]

    def remove(self):
        for name in self.names:
            self.run("netns", "del", name, check=False)


@pytest.fixture
def net(world):
    mark = f"{os.getpid() % 100000}"
    net = Net(mark)
    try:
        net.make()
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        net.remove()
        pytest.skip(f"network namespaces are not to be had here: {getattr(error, 'stderr', error)}")
    yield net
    world.stop_all()
    net.remove()


def start_apart(world, net, *worker_args):
    """Server on one side, worker on the other."""
    server = world.daemon("server", net.inside(0, BIN / "hq", "server", "start", "--host=10.77.0.1"))
    server.wait_for_out("Journal path")
    worker = world.daemon("worker", net.inside(1, BIN / "hq", "worker", "start", "--cpus=2", *worker_args))
    worker.wait_for_out("Manager Job ID")
    return server, worker


def test_short_cut_of_the_network(world, net):
    """What ends while the cable is out is reported when it is back; the worker keeps its id."""
    start_apart(world, net, "--heartbeat=4s")
    job = world.submit("--array=1-50", "sh", "-c", f"echo $HQ_TASK_ID >>{world.work}/runs; while [ ! -e {world.work}/gate ]; do sleep 0.02; done")
    wait_until(lambda: world.stats(job)["running"] == 2, "two running")
    net.cut(True)
    (world.work / "gate").touch()
    wait_until(lambda: len(world.read("runs").split()) >= 3, "the worker to go on with what it holds")
    net.cut(False)
    assert world.wait_job(job, timeout=40)["finished"] == 50
    assert world.running_workers() == [1]
    assert sorted(map(int, world.read("runs").split())) == list(range(1, 51)), "run once each"


def test_long_cut_of_the_network(world, net):
    """Lost after two heartbeats; the task runs elsewhere; the old worker returns under a new id; one final record."""
    start_apart(world, net, "--heartbeat=500ms")
    gate = world.work / "gate"
    job = world.submit("sh", "-c", f"echo $HQ_INSTANCE_ID >>{world.work}/runs; while [ ! -e {gate} ]; do sleep 0.02; done")
    world.wait_task(job, 0, "running")
    wait_until(lambda: (world.work / "runs").exists(), "the first run")
    net.cut(True)
    wait_until(lambda: "1 HEARTBEAT LOST" in world.quiet("worker", "list", "--all"), "worker 1 HEARTBEAT LOST")
    second = world.daemon("worker", net.inside(0, BIN / "hq", "worker", "start", "--cpus=2"))
    second.wait_for_out("Manager Job ID")
    wait_until(lambda: world.read("runs").split() == ["0", "1"], "the second run")
    net.cut(False)
    wait_until(lambda: len(world.running_workers()) == 2, "the first worker back")
    gate.touch()
    assert world.wait_job(job)["finished"] == 1
    assert world.task(job)["worker"] == 2 and world.running_workers() == [2, 3]
