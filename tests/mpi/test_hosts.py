"""MPI on four hosts, from `hq submit` to the last process, with the libraries people have.

With HQ_TEST_MPI_TABLE=FILE each end is also written there as a line of JSON: what, library, state, text, seconds.
"""
import json
import os
import re
import signal
import time

import pytest

from harness import SLOW, is_alive, wait_until

END_S = 3.0  # all ranks on all nodes


def note(what, mpi, state, text, seconds):
    path = os.environ.get("HQ_TEST_MPI_TABLE")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps([what, mpi.library, state, text, round(seconds, 2)]) + "\n")


def output(world, job, name="0.stdout"):
    return world.read(f"job-{job}/{name}")


def run(world, *args, timeout=60):
    """The job's id and its only task."""
    job = world.submit(*args)
    world.wait_job(job, timeout=timeout * SLOW)
    return job, world.task(job)


def finished(world, *args, **more):
    job, task = run(world, *args, **more)
    assert task["state"] == "finished", (task["error"], output(world, job, "0.stderr"))
    return job


def clean(world, job):
    wait_until(lambda: not world.processes(job), f"nothing left of job {job}: {world.processes(job)}", 10)


# ---- programs
@pytest.mark.parametrize("nodes, each", ((4, 2), (2, 4), (1, 4)))
def test_world_is_whole(cluster4, mpi, nodes, each):
    job = finished(cluster4, f"--nodes={nodes}", "--mpi", f"--ranks-per-node={each}", mpi / "hello")
    seen = re.findall(r"hello from rank (\d+) of (\d+) on (n\d)", output(cluster4, job))
    total = nodes * each
    assert sorted(int(rank) for rank, _, _ in seen) == list(range(total))
    assert {size for _, size, _ in seen} == {str(total)}
    by_node = {}
    for rank, _, node in seen:
        by_node.setdefault(node, []).append(int(rank))
    assert len(by_node) == nodes and all(len(ranks) == each for ranks in by_node.values())
    assert all(max(ranks) - min(ranks) == each - 1 for ranks in by_node.values()), "numbered node by node"
    clean(cluster4, job)


@pytest.mark.parametrize("program", ("ring", "allreduce"))
def test_ranks_talk(cluster4, mpi, program):
    job = finished(cluster4, "--nodes=4", "--mpi", "--ranks=8", mpi / program)
    assert output(cluster4, job).startswith(f"{program} of 8 ranks: {28 if program == 'ring' else 36}\n")


def test_mpi4py(cluster4, mpi, mpi4py):
    python, env = mpi4py
    script = os.path.join(os.path.dirname(__file__), "programs", "sum.py")
    job = finished(cluster4, "--nodes=3", "--mpi", "--ranks-per-node=2", *env[mpi.library], python, script)
    assert re.fullmatch(r"mpi4py 6 21 n\d,n\d,n\d\n", output(cluster4, job)), "a sum of six ranks on three nodes"


@pytest.mark.limit(240)
def test_hundred_launches(cluster4, mpi):
    """One after the other on all nodes; nothing grows in the workers, nothing stays behind."""
    job = cluster4.submit("--array=1-100", "--nodes=4", "--mpi", "--ranks-per-node=1", mpi / "allreduce")
    assert cluster4.wait_job(job, timeout=200)["finished"] == 100
    assert all(output(cluster4, job, f"{i}.stdout") == "allreduce of 4 ranks: 10\n" for i in range(1, 101))
    clean(cluster4, job)
    assert not list(cluster4.tmp.glob("**/hq-stepd*")), "no files of PMIx servers"


@pytest.mark.limit(180)
def test_two_times_32(cluster4, mpi):
    job = finished(cluster4, "--nodes=2", "--mpi", "--ranks-per-node=32", "--oversubscribe", mpi / "allreduce", timeout=150)
    assert output(cluster4, job) == "allreduce of 64 ranks: 2080\n"


def test_side_by_side(cluster4, mpi):
    """Two tasks of two nodes each, at the same time; and two on one node."""
    jobs = [cluster4.submit("--nodes=2", "--mpi", "--ranks=4", mpi / "ends", "hang", "3") for _ in range(2)]
    for job in jobs:
        wait_until(lambda: "waiting" in output(cluster4, job) if cluster4.task(job)["state"] == "running" else False,
                   f"ranks of job {job}", 30)
    nodes = [{node for node, _ in cluster4.processes(job).values()} for job in jobs]
    assert len(nodes[0]) == 2 and len(nodes[1]) == 2 and not nodes[0] & nodes[1]
    cluster4.hq("job", "cancel", "all")
    small = [cluster4.submit("--cpus=2", "--mpi", "--ranks=2", mpi / "allreduce", "50") for _ in range(6)]
    for job in small:
        assert cluster4.wait_job(job)["finished"] == 1, cluster4.task(job)["error"]
        assert output(cluster4, job) == "allreduce of 2 ranks: 3\n"


# ---- ends
ENDS = {  # what rank 3 (on the second of two nodes) does: text of the task behind "rank 3 on HOST: "
    "exit-7": r"Program terminated with exit code 7\.",
    "late-exit": r"Program terminated with exit code 11\.",
    "exit-0": r"Ended with exit code 0 before MPI_Finalize\.",
    "early-exit": r"Ended without having joined the other 3 ranks: .*",
    "abort": r"MPI_Abort was called with error code 42\.",
    "segv": r"Program terminated with exit code -1\. Received signal 11 \(SIGSEGV\)\.",
    "kill": r"Program terminated with exit code -1\. Received signal 9 \(SIGKILL\)\.",
    "error-file": r"no water in the tank",
    "garbage": r"Bad PMI request .*",
    "twice": r"MPI_Abort was called with error code \d+\.",
}


def wrong_since(world):
    return time.time() - (world.work / "went-wrong").stat().st_mtime


@pytest.mark.parametrize("what", ENDS)
def test_failure_ends_all(cluster4, mpi, what):
    job = cluster4.submit("--nodes=2", "--mpi", "--ranks-per-node=2", mpi / "ends", what, "3")
    cluster4.wait_job(job)
    wait_until(lambda: not cluster4.processes(job), "the end of all ranks", 10, every=0.005)
    seconds = wrong_since(cluster4)
    task = cluster4.task(job)
    note(what, mpi, task["state"], task["error"], seconds)
    assert task["state"] == "failed"
    assert re.fullmatch(rf"rank 3 on n\d: {ENDS[what]}", task["error"], re.S), task["error"]
    assert seconds < END_S * SLOW


@pytest.mark.parametrize("what", ("never", "close"))
def test_other_failures(cluster4, mpi, what):
    job = cluster4.submit("--nodes=2", "--mpi", "--ranks-per-node=2", mpi / "ends", what, "3")
    began = time.time()
    cluster4.wait_job(job)
    clean(cluster4, job)
    seconds = wrong_since(cluster4) if what == "close" else time.time() - began
    task = cluster4.task(job)
    note(what, mpi, task["state"], task["error"], seconds)
    assert task["state"] == "failed" and re.match(r"rank \d on n\d: ", task["error"])
    assert seconds < END_S * SLOW
    assert finished(cluster4, "--nodes=2", "--mpi", "--ranks=2", mpi / "allreduce"), "the nodes are clean for the next task"


def start_hanging(world, mpi, *args, what="hang"):
    """A task of 2 x 2 ranks: rank 3 sleeps, all others wait for it in a fence."""
    job = world.submit("--nodes=2", "--mpi", "--ranks-per-node=2", *args, mpi / "ends", what, "3")
    wait_until(lambda: world.task(job)["state"] == "running" and "waiting" in output(world, job), "a rank that hangs", 30)
    return job


def wait_end(world, job, mpi, what, began):
    world.wait_job(job)
    wait_until(lambda: not world.processes(job), "the end of all ranks", 10, every=0.005)
    seconds = time.time() - began
    task = world.task(job)
    note(what, mpi, task["state"], task.get("error"), seconds)
    return task, seconds


@pytest.mark.parametrize("what", ("hang", "early-hang", "deaf"))
def test_cancel(cluster4, mpi, what):
    job = start_hanging(cluster4, mpi, what=what)
    began = time.time()
    cluster4.hq("job", "cancel", job)
    task, seconds = wait_end(cluster4, job, mpi, f"cancel, {what}", began)
    assert task["state"] == "canceled" and seconds < END_S * SLOW


def test_time_limit(cluster4, mpi):
    began = time.time()
    job = start_hanging(cluster4, mpi, "--time-limit=3s")
    task, seconds = wait_end(cluster4, job, mpi, "time limit of 3 s (since its submit)", began)
    assert task["state"] == "failed" and task["error"] == "Time limit reached"
    assert 3 <= seconds < (3 + END_S) * SLOW


def stepds(world, job):
    """{node: pid}"""
    return {node: pid for pid, (node, name) in world.processes(job).items() if name == "hq-stepd"}


def root_of(world, job):
    return world.worker_host(world.task(job)["worker"] if "worker" in world.task(job) else world.task(job)["workers"][0])


@pytest.mark.parametrize("which", ("root", "secondary"))
def test_killed_stepd(cluster4, mpi, which):
    job = start_hanging(cluster4, mpi)
    root = root_of(cluster4, job)
    node = next(n for n in stepds(cluster4, job) if (n == root) == (which == "root"))
    began = time.time()
    os.kill(stepds(cluster4, job)[node], signal.SIGKILL)
    task, seconds = wait_end(cluster4, job, mpi, f"killed hq-stepd, {which}", began)
    assert task["state"] == "failed" and "hq-stepd" in task["error"] and seconds < END_S * SLOW
    assert all(worker.running() for worker in cluster4.workers_of.values()), "the workers survive it"


@pytest.mark.parametrize("which", ("root", "secondary"))
def test_lost_node(cluster4, mpi, which):
    """Its worker is killed: all ranks end, on its node too; the task starts again elsewhere."""
    job = start_hanging(cluster4, mpi, "--crash-limit=5")
    before = cluster4.processes(job)
    root = root_of(cluster4, job)
    node = next(n for n in stepds(cluster4, job) if (n == root) == (which == "root"))
    (cluster4.work / f"job-{job}" / "0.stdout").unlink()
    began = time.time()
    cluster4.workers_of[node].kill()
    wait_until(lambda: not any(is_alive(pid) for pid in before), "the end of all ranks", 10, every=0.005)
    seconds = time.time() - began
    wait_until(lambda: (cluster4.work / f"job-{job}" / "0.stdout").exists() and "waiting" in output(cluster4, job),
               "the next instance", 30)
    task = cluster4.task(job)
    note(f"lost node, {which}", mpi, "running again", "its next instance", seconds)
    assert task["state"] == "running" and seconds < END_S * SLOW
    cluster4.hq("job", "cancel", job)


@pytest.mark.parametrize("which", ("root", "secondary"))
def test_unplugged_node(cluster4, mpi, which):
    """No packet, no reset, no word of an end: silence for 2 s is the end, on both sides of it."""
    job = start_hanging(cluster4, mpi, "--crash-limit=5")
    before = cluster4.processes(job)
    root = root_of(cluster4, job)
    node = next(n for n in stepds(cluster4, job) if (n == root) == (which == "root"))
    began = time.time()
    cluster4.hosts.unplug(node)
    try:
        wait_until(lambda: not any(is_alive(pid) for pid in before), "the end of all ranks", 10, every=0.005)
        seconds = time.time() - began
        wait_until(lambda: len(stepds(cluster4, job)) == 2 and node not in stepds(cluster4, job), "the next instance elsewhere", 30)
    finally:
        cluster4.hosts.plug(node)
    note(f"unplugged node, {which}", mpi, "running again", "on other nodes", seconds)
    assert seconds < END_S * SLOW
    cluster4.hq("job", "cancel", job)


def test_lost_node_and_crash_limit(cluster4, mpi):
    job = start_hanging(cluster4, mpi, "--crash-limit=1")
    root = root_of(cluster4, job)
    node = next(n for n in stepds(cluster4, job) if n != root)
    began = time.time()
    cluster4.workers_of[node].kill()
    task, seconds = wait_end(cluster4, job, mpi, "lost node, crash limit 1", began)
    assert task["state"] == "failed" and seconds < END_S * SLOW


def test_cut_link_in_a_fence(cluster4, mpi):
    """hqd still hears both; the two nodes no longer hear each other."""
    job = start_hanging(cluster4, mpi, "--crash-limit=1")
    nodes = sorted(stepds(cluster4, job))
    began = time.time()
    cluster4.hosts.cut(*nodes)
    try:
        task, seconds = wait_end(cluster4, job, mpi, "cut link in a fence", began)
    finally:
        cluster4.hosts.mend(*nodes)
    assert task["state"] == "failed" and "lost" in task["error"], task["error"]
    assert seconds < END_S * SLOW


# ---- output and input
def test_output(cluster4, mpi):
    job = finished(cluster4, "--nodes=3", "--mpi", "--ranks-per-node=1", "--tag-output", mpi / "lines")
    out = output(cluster4, job).splitlines()
    assert sorted(set(re.findall(r"\[(\d)\] rank (\d) ", output(cluster4, job)))) == [("0", "0"), ("1", "1"), ("2", "2")]
    assert len(out) == 603 and all(re.fullmatch(r"\[(\d)\] (rank \1 line \d+ of many|open end)", line) for line in out)


def test_files_of_ranks(cluster4, mpi):
    job = finished(cluster4, "--nodes=2", "--mpi", "--ranks-per-node=2", "--stdout=o/%{JOB_ID}.%{RANK}", "--stderr=none", mpi / "lines")
    for rank in range(4):
        text = cluster4.read(f"o/{job}.{rank}")
        assert text == "".join(f"rank {rank} line {i} of many\n" for i in range(200)) + "open end"


def test_stdin_goes_to_rank_0(cluster4, mpi):
    job = cluster4.submit("--nodes=2", "--mpi", "--ranks-per-node=1", "--stdin", mpi / "lines", stdin=b"first\nsecond\n")
    assert cluster4.wait_job(job)["finished"] == 1
    assert "first\nsecond\n" in output(cluster4, job)


# ---- mpirun in a task of several nodes
def mpirun(mpi, *words):
    own = {"openmpi": ["--allow-run-as-root", "--map-by", "node"], "mpich": ["-ppn", "1"]}
    return [mpi.mpirun, *own[mpi.library], *words]


def test_mpirun_without_ssh(cluster4, mpi):
    job = finished(cluster4, "--nodes=3", "--env=PATH=/usr/bin:/bin", *mpirun(mpi, "-np", "3", mpi / "hello"))
    seen = re.findall(r"hello from rank (\d) of 3 on (n\d)", output(cluster4, job))
    assert sorted(rank for rank, _ in seen) == ["0", "1", "2"] and len({node for _, node in seen}) == 3
    clean(cluster4, job)


@pytest.mark.limit(300)
def test_other_libraries(cluster4, other):
    """Ranks started by hq, an end, and mpirun, with libraries from elsewhere."""
    job = finished(cluster4, "--nodes=3", "--mpi", "--ranks-per-node=2", *other.env, other.programs / "allreduce")
    assert output(cluster4, job) == "allreduce of 6 ranks: 21\n"
    job, task = run(cluster4, "--nodes=2", "--mpi", "--ranks-per-node=1", *other.env, other.programs / "ends", "abort", "1")
    assert re.fullmatch(r"rank 1 on n\d: MPI_Abort was called with error code 42\.", task["error"])
    job = finished(cluster4, "--nodes=3", *other.env, *mpirun(other, "-np", "3", other.programs / "hello"))
    assert sorted(re.findall(r"hello from rank (\d) of 3", output(cluster4, job))) == ["0", "1", "2"]
    assert len(set(re.findall(r"on (n\d)", output(cluster4, job)))) == 3
    clean(cluster4, job)


def test_mpirun_status(cluster4, mpi):
    job, task = run(cluster4, "--nodes=2", *mpirun(mpi, "-np", "2", "sh", "-c", "exit 6"))
    assert task["state"] == "failed" and task["error"] == "Program terminated with exit code 6."
    clean(cluster4, job)


def test_mpirun_ends_with_the_task(cluster4, mpi):
    job = cluster4.submit("--nodes=3", *mpirun(mpi, "-np", "3", mpi / "ends", "hang", "1"))
    wait_until(lambda: sum(name == "ends" for _, name in cluster4.processes(job).values()) == 3, "three ranks", 30)
    assert len({node for node, name in cluster4.processes(job).values() if name == "ends"}) == 3
    began = time.time()
    cluster4.hq("job", "cancel", job)
    task, seconds = wait_end(cluster4, job, mpi, "mpirun inside, cancel", began)
    assert task["state"] == "canceled" and seconds < END_S * SLOW


def test_mpirun_and_a_lost_secondary(cluster4, mpi):
    """The plain form: hq lets the program go on; mpirun itself ends when it has lost a node."""
    job = cluster4.submit("--nodes=2", "sh", "-c", "echo up; sleep 4; echo still here")
    wait_until(lambda: cluster4.task(job)["state"] == "running" and "up" in output(cluster4, job), "the program", 20)
    root = root_of(cluster4, job)
    node = next(n for n in ("n1", "n2", "n3", "n4")
                if n != root and cluster4.workers_of[n].running() and n in hosts_of(cluster4, job))
    cluster4.workers_of[node].kill()
    assert cluster4.wait_job(job)["finished"] == 1
    assert output(cluster4, job) == "up\nstill here\n"


def hosts_of(world, job):
    task = world.task(job)
    return [world.worker_host(worker) for worker in task.get("workers") or [task["worker"]]]
