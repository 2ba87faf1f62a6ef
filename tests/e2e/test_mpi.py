"""Tasks of several ranks and nodes on one host. Ranks are scripts that speak as much PMI-1 as they need (real libraries: tests/mpi)."""
import time

import pytest

from harness import is_alive, wait_until

JOIN = """#!/bin/bash
ask() { echo "cmd=$*" >&$PMI_FD; IFS= read -r answer <&$PMI_FD; }
ask init pmi_version=1 pmi_subversion=1
ask barrier_in
"""
LEAVE = "\nask finalize\n"
SAY = 'echo "$HQ_RANK of $HQ_NUM_RANKS"'
END_S = 3.0  # until nothing is left of a task on any node


@pytest.fixture
def nodes(server):
    """Three workers that are nodes of their own, as far as hq can tell."""
    server.nodes = [server.start_worker(f"--hostname=n{i}", name=f"n{i}") for i in (1, 2, 3)]
    return server


def rank_script(world, name, body):
    """An executable that joins the other ranks, does something, and leaves them."""
    path = world.work / name
    path.write_text(JOIN + body + LEAVE)
    path.chmod(0o755)
    return path


@pytest.fixture
def say(server):
    return rank_script(server, "say.sh", SAY + "; echo e$HQ_RANK >&2")


def lines(world, name):
    return sorted(world.read(name).splitlines())


def task_error(world, job):
    return world.task(job)["error"]


TELL_PID = 'echo $$ > pid.$HQ_RANK.$HQ_INSTANCE_ID.new; mv pid.$HQ_RANK.$HQ_INSTANCE_ID.new pid.$HQ_RANK.$HQ_INSTANCE_ID\n'


def start_sleepers(world, *args):
    """A task whose ranks tell their pids and then wait."""
    return world.submit(*args, rank_script(world, "sleepers.sh", TELL_PID + "exec sleep 600\n"))


def pids_of(world, ranks, instance=0):
    names = [world.work / f"pid.{rank}.{instance}" for rank in range(ranks)]
    wait_until(lambda: all(name.exists() for name in names), f"pids of {ranks} ranks, instance {instance}")
    return [int(name.read_text()) for name in names]


def all_end(pids):
    begin = time.monotonic()
    wait_until(lambda: not any(is_alive(pid) for pid in pids), "the end of all ranks", END_S + 5)
    return time.monotonic() - begin


# ---- command line
@pytest.mark.parametrize("args, status, text", [
    (["--mpi=x", "true"], 2, "invalid value 'x' for '--mpi <MPI>'"),
    (["--mpi", "--ranks=0", "true"], 2, "must be at least 1"),
    (["--mpi", "--ranks=2", "--ranks-per-node=2", "true"], 2, "the argument '--ranks <COUNT>' cannot be used with '--ranks-per-node <COUNT>'"),
    (["--mpi", "--pin=omp", "true"], 2, "the argument '--mpi <MPI>' cannot be used with '--pin <PIN>'"),
    (["--ranks=2", "true"], 1, "--ranks has a meaning with --mpi only"),
    (["--tag-output", "true"], 1, "--tag-output has a meaning with --mpi only"),
    (["--stdout=%{RANK}", "true"], 1, "The placeholder `%{RANK}` in the stdout path needs an MPI task."),
    (["--nodes=3", "--mpi", "--ranks=8", "true"], 1, "8 ranks cannot be spread evenly over 3 nodes"),
    (["--mpi", "--cpus=4", "--ranks=8", "true"], 1, "8 ranks of 1 cpu need more than the 4 cpus of the task (oversubscribe allows it)"),
])
def test_refused(server, args, status, text):
    said = server.hq("submit", *args, check=False)
    assert said.status == status and text in said.err, said
    assert not server.jobs()


def test_shown(server):
    plain = server.submit("true")
    ranks = server.submit("--nodes=2", "--mpi=pmix", "--ranks-per-node=3", "--cpus-per-rank=2", "true")
    assert "Ranks" not in server.hq("job", "info", plain).out
    out = server.hq("job", "info", ranks).out
    assert "| Ranks                | 3 per node, 2 cpus each, PMIx" in out and "| Resources            | nodes: 2" in out
    assert "mpi" not in server.json("job", "info", plain)[0]["submits"][0]["array"]
    assert server.json("job", "info", ranks)[0]["submits"][0]["array"]["mpi"] == {
        "cpus_per_rank": 2, "oversubscribe": False, "ranks": None, "ranks_per_node": 3, "tag_output": False, "wire_up": "pmix"}


def test_job_file(nodes, say):
    (nodes.work / "job.toml").write_text('[[task]]\ncommand = ["./say.sh"]\nmpi = true\nranks = 4\nstdout = "o.%{RANK}"\n'
                                         '[[task.request]]\nn_nodes = 2\n'
                                         '[[task]]\ncommand = ["./say.sh"]\nmpi = "pmi1"\nranks_per_node = 2\noversubscribe = true\nstdout = "p.%{RANK}"\n')
    nodes.hq("job", "submit-file", "--wait", "job.toml", timeout=40)
    assert [nodes.read(f"o.{rank}") for rank in range(4)] == [f"{rank} of 4\n" for rank in range(4)]
    assert [nodes.read(f"p.{rank}") for rank in range(2)] == [f"{rank} of 2\n" for rank in range(2)]


def test_script_with_directives(cluster):
    (cluster.work / "run.sh").write_text(JOIN.replace("\n", "\n#HQ --mpi --ranks-per-node 1\n#HQ --stdout out\n", 1) + SAY + LEAVE)
    cluster.submit("--wait", "--ranks=2", "run.sh")
    assert lines(cluster, "out") == ["0 of 2", "1 of 2"]


def test_nodes_without_enough_cpus(nodes, say):
    job = nodes.submit("--nodes=2", "--mpi", "--ranks-per-node=3", say)
    out = nodes.hq("task", "explain", job, 0).out
    assert "| nodes | group size 0 | 2" in out and "| cpus" in out and "There is no worker where the task can run." in out
    for i in (4, 5):
        nodes.start_worker(f"--hostname=n{i}", "--cpus=3", name=f"n{i}")
    assert nodes.wait_job(job)["finished"] == 1


def test_other_resources_of_nodes(nodes):
    """Each node must have them; they are no variables, and the root runs the task once."""
    job = nodes.submit("--nodes=2", "--resource=tools=2", "sh", "-c", "env | grep -c HQ_RESOURCE; cat $HQ_NODE_FILE")
    assert "tools" in nodes.hq("job", "info", job).out
    for i, amount in ((4, 1), (5, 2), (6, 3)):
        nodes.start_worker(f"--hostname=n{i}", f"--resource=tools=sum({amount})", name=f"n{i}")
    assert nodes.wait_job(job)["finished"] == 1
    assert nodes.read(f"job-{job}/0.stdout").splitlines() == ["0", "n5", "n6"]


# ---- ranks
def test_one_node(cluster, say):
    job = cluster.submit("--wait", "--mpi", "--ranks=2", say)
    assert lines(cluster, f"job-{job}/0.stdout") == ["0 of 2", "1 of 2"]
    array = cluster.submit("--wait", "--array=1-6", "--mpi", "--ranks=2", "--oversubscribe", "--cpus=1", "--tag-output", say)
    for task in range(1, 7):
        assert lines(cluster, f"job-{array}/{task}.stdout") == ["[0] 0 of 2", "[1] 1 of 2"]


def test_two_nodes(nodes, say):
    job = nodes.submit("--wait", "--nodes=2", "--mpi", "--ranks-per-node=2", say)
    assert lines(nodes, f"job-{job}/0.stdout") == [f"{rank} of 4" for rank in range(4)]
    assert lines(nodes, f"job-{job}/0.stderr") == [f"e{rank}" for rank in range(4)]
    nodes.submit("--wait", "--nodes=3", "--mpi", "--ranks=3", "--stdout=%{TASK_ID}-%{RANK}", "--stderr=none", say)
    assert [nodes.read(f"0-{rank}") for rank in range(3)] == [f"{rank} of 3\n" for rank in range(3)]
    nodes.submit("--wait", "--array=1-3", "--cpus=2", "true")  # all nodes take other tasks again
    assert {task["worker"] for task in nodes.tasks(3).values()} == {1, 2, 3}


def test_first_failure_ends_all(nodes):
    script = rank_script(nodes, "fail.sh", TELL_PID + "ask barrier_in; test $HQ_RANK = 3 && exit 7; exec sleep 600\n")
    job = nodes.submit("--nodes=2", "--mpi", "--ranks-per-node=2", script)
    assert nodes.wait_job(job)["failed"] == 1
    assert task_error(nodes, job) == "rank 3 on n2: Program terminated with exit code 7."
    assert all_end(pids_of(nodes, 4)) < END_S


def test_cancel_and_time_limit(nodes, say):
    job = start_sleepers(nodes, "--nodes=3", "--mpi", "--ranks-per-node=2")
    pids = pids_of(nodes, 6)
    nodes.hq("job", "cancel", job)
    assert all_end(pids) < END_S
    for name in nodes.work.glob("pid.*"):
        name.unlink()
    job = start_sleepers(nodes, "--nodes=2", "--mpi", "--ranks-per-node=1", "--time-limit=1s")
    pids = pids_of(nodes, 2)
    assert nodes.wait_job(job)["failed"] == 1
    assert task_error(nodes, job) == "Time limit reached"
    assert all_end(pids) < END_S
    assert nodes.submit("--wait", "--nodes=3", "--mpi", "--ranks=3", say)


@pytest.mark.parametrize("who", [0, 1])
def test_lost_node(nodes, who):
    """The root or another one: all ranks end, the task starts again on the nodes that are left."""
    job = start_sleepers(nodes, "--nodes=2", "--mpi", "--ranks-per-node=1")
    pids = pids_of(nodes, 2)
    nodes.nodes[who].kill()
    assert all_end(pids) < END_S
    again = pids_of(nodes, 2, instance=1)
    assert nodes.task(job)["state"] == "running"
    nodes.hq("job", "cancel", job)
    assert all_end(again) < END_S


def test_lost_node_counts_as_crash(nodes):
    limited = start_sleepers(nodes, "--nodes=2", "--mpi", "--ranks-per-node=1", "--crash-limit=1")
    pids_of(nodes, 2)
    nodes.nodes[1].kill()
    assert nodes.wait_job(limited)["failed"] == 1
    assert "has occurred 1 times in this situation and limit was reached." in task_error(nodes, limited)


def test_killed_server(world):
    """Ranks go on while hqd is away; a node that comes back keeps its part, and the next task is clean."""
    world.server = world.start_server("--journal=j")
    for i in (1, 2):
        world.start_worker(f"--hostname=n{i}", name=f"n{i}")
    script = rank_script(world, "wait.sh", TELL_PID + "while ! test -e go; do sleep 0.05; done; echo done $HQ_RANK")
    job = world.submit("--nodes=2", "--mpi", "--ranks-per-node=2", script)
    pids = pids_of(world, 4)
    world.server.kill()
    world.server = world.start_server("--journal=j")
    wait_until(lambda: len(world.running_workers()) == 2, "both workers")
    wait_until(lambda: world.task(job)["state"] == "running", "the task runs")
    assert all(is_alive(pid) for pid in pids)
    (world.work / "go").touch()
    assert world.wait_job(job)["finished"] == 1
    assert lines(world, f"job-{job}/0.stdout") == [f"done {rank}" for rank in range(4)]
    again = world.submit("--wait", "--nodes=2", "--mpi", "--ranks=2", script)
    assert lines(world, f"job-{again}/0.stdout") == ["done 0", "done 1"]


def test_no_mpi_program(cluster):
    job = cluster.submit("--mpi", "--ranks=2", "true")
    assert cluster.wait_job(job)["failed"] == 1
    assert "never called MPI_Init" in task_error(cluster, job)


# ---- mpirun's remote start
def test_remote_start(nodes):
    """What mpirun finds in the environment of a plain task reaches its other nodes, and no others; it ends with the task."""
    script = nodes.script("remote.sh", 'cat $HQ_NODE_FILE; $OMPI_MCA_plm_rsh_agent n2 "cat; echo there >&2; exit 5" <<EOF\nin\nEOF\necho $?\n'
                                       '$OMPI_MCA_plm_rsh_agent n3 true || echo refused\n'
                                       '$OMPI_MCA_plm_rsh_agent n2 "setsid sleep 600 & echo \\$! > $PWD/pid.0.0" \n')
    job = nodes.submit("--wait", "--nodes=2", script)
    assert nodes.read(f"job-{job}/0.stdout").splitlines() == ["n1", "n2", "in", "5", "refused"]
    assert "there" in nodes.read(f"job-{job}/0.stderr").splitlines()
    assert all_end(pids_of(nodes, 1)) < END_S


def test_own_settings_stay(nodes):
    job = nodes.submit("--wait", "--nodes=2", "--env=OMPI_MCA_plm_rsh_agent=mine", "--env=HYDRA_HOST_FILE=own", "--env=OMPI_MCA_rmaps_base_mapping_policy=slot", "sh", "-c",
                       'echo $OMPI_MCA_plm_rsh_agent $HYDRA_HOST_FILE $OMPI_MCA_rmaps_base_mapping_policy $PRTE_MCA_rmaps_default_mapping_policy; test "$OMPI_MCA_orte_default_hostfile" = "$HQ_NODE_FILE" && echo same')
    assert nodes.read(f"job-{job}/0.stdout").splitlines() == ["mine own slot node", "same"]
