"""Tasks of several nodes as hq-workerd sees them: who they are told of, remote commands, links that break, ends.

All workers are on this machine, under host names that only hqd knows: they find each other by address and port.
"""
import hashlib
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess

import pytest

from harness import BIN, SAN, fd_count, is_alive, rss_kb, wait_until

REXEC = '"${OMPI_MCA_plm_rsh_agent%% *}" rexec'


@pytest.fixture
def gang(server):
    """Three nodes: n0, n1, n2."""
    server.nodes = [server.start_worker(f"--hostname=n{i}", name=f"n{i}") for i in range(3)]
    return server


def start(world, script, *args):
    """A task on all three nodes."""
    (world.work / "task.sh").write_text(script)
    return world.submit("--nodes=3", *args, "bash", "task.sh")


def run(world, script, *args):
    job = start(world, script, *args)
    world.wait_job(job)
    task = world.task(job)
    assert task["state"] == "finished", f"{task}\n{world.read(f'job-{job}/0.stdout')}\n{world.read(f'job-{job}/0.stderr')}"
    return world.read(f"job-{job}/0.stdout")


def pids_of(world, *names):
    """Process ids in files of the working directory, once all are there."""
    paths = [world.work / name for name in names]
    wait_until(lambda: all(path.exists() and path.read_text().strip() for path in paths), f"files {names}")
    return [int(path.read_text()) for path in paths]


def gone(pids, timeout=3.0):
    wait_until(lambda: not any(map(is_alive, pids)), f"the end of {pids}", timeout)


# ---- environment
def test_mpirun_is_told_of_nodes_and_remote_start(gang):
    env = dict(line.split("=", 1) for line in run(gang, "env; cat $HQ_NODE_FILE > nodes").splitlines() if "=" in line)
    stepd = str((BIN / "hq-stepd").resolve())
    assert gang.read("nodes").split() == ["n0", "n1", "n2"]
    assert env["OMPI_MCA_plm_rsh_agent"] == env["PRTE_MCA_plm_ssh_agent"] == f"{stepd} rexec"
    assert env["OMPI_MCA_plm_rsh_no_tree_spawn"] == env["PRTE_MCA_plm_ssh_no_tree_spawn"] == "1"
    assert env["OMPI_MCA_orte_default_hostfile"] == env["PRTE_MCA_prte_default_hostfile"] == env["HQ_NODE_FILE"]
    assert (env["HYDRA_LAUNCHER"], env["HYDRA_LAUNCHER_EXEC"], env["HYDRA_HOST_FILE"]) == ("rsh", stepd, env["HQ_HOST_FILE"])
    assert "OMPI_MCA_plm" not in env and "OMPI_MCA_ras" not in env


def test_the_users_own_settings_stay(gang):
    given = ["OMPI_MCA_plm_rsh_agent=ssh -q", "HYDRA_LAUNCHER=ssh", "HYDRA_HOST_FILE=mine", "SLURM_JOB_ID=7", "OMPI_MCA_ras=simulator"]
    out = run(gang, "env", *[word for setting in given for word in ("--env", setting)]).splitlines()
    for setting in given:
        assert setting in out
    assert not any(line.startswith("HYDRA_LAUNCHER_EXEC") for line in out)
    assert "OMPI_MCA_plm=rsh" in out and "PRTE_MCA_ras=^slurm" in out  # inside an allocation srun would be taken


def test_tasks_of_one_node_are_told_nothing(gang):
    job = gang.submit("env")
    gang.wait_job(job)
    assert "MCA" not in gang.read(f"job-{job}/0.stdout") and "HYDRA" not in gang.read(f"job-{job}/0.stdout")


# ---- remote commands
def test_remote_commands(gang):
    out = run(gang, f"""
for host in n0 n1 n2.domain; do
    echo "said to $host" | {REXEC} $host 'cat; echo "$MINE $HQ_JOB_ID $(pwd) ${{HQ_TASK_DIR-none}}"; echo oops >&2; exit 7'
    echo "exit $?"
done
{REXEC} n1 kill -9 '$$' </dev/null; echo "exit $?"
{REXEC} n1 /no/such/program </dev/null; echo "exit $?"
{REXEC} elsewhere true </dev/null; echo "exit $?"
""", "--env", "MINE=user's value")
    job = max(gang.jobs())
    each = f"user's value {job} {gang.work} none\nexit 7\n"
    assert out == "".join(f"said to {host}\n{each}" for host in ("n0", "n1", "n2.domain")) + "exit 137\nexit 127\nexit 255\n"
    errors = gang.read(f"job-{job}/0.stderr")
    assert errors.count("oops") == 3 and "elsewhere is no node of this task" in errors


def test_much_output_and_input(gang):
    size = 4 << 20 if SAN else 20 << 20
    (gang.work / "data").write_bytes(os.urandom(1 << 20) * (size >> 20))
    digest = hashlib.md5((gang.work / "data").read_bytes()).hexdigest()
    out = run(gang, f"""
{REXEC} n1 md5sum < data
{REXEC} n2 cat data < /dev/null | md5sum
{REXEC} n1 cat < data | md5sum
{REXEC} n0 cat < data | md5sum
""")
    assert out == f"{digest}  -\n" * 4


def test_who_does_not_read_holds_nobody_up_and_costs_nothing(gang):
    before = [rss_kb(node.pid) for node in gang.nodes]
    out = run(gang, f"""
mkfifo slow
{REXEC} n1 'cat /dev/zero' > slow < /dev/null &
exec 9< slow
for i in 1 2 3; do {REXEC} n1 'echo quick' < /dev/null; done
head -c 1000000 <&9 | wc -c
kill $!
""")
    assert out == "quick\nquick\nquick\n1000000\n"
    for node, kb in zip(gang.nodes, before):
        assert rss_kb(node.pid) - kb < (100_000 if SAN else 8_000)


def test_many_at_once(gang):
    out = run(gang, f"for i in $(seq 60); do {REXEC} n$((i % 3)) \"echo $i\" </dev/null & done; wait")
    assert sorted(map(int, out.split())) == list(range(1, 61))


def test_stdin_is_optional(gang):
    assert run(gang, f"yes | {REXEC} n1 'echo not read'; echo ${{PIPESTATUS[1]}}") == "not read\n0\n"


# ---- ends
LINGER = "(echo $BASHPID > {0}.p; mv {0}.p {0}; exec sleep 1000) & wait"
DETACH = "(setsid bash -c 'echo $$ > {0}.p; mv {0}.p {0}; exec sleep 1000' </dev/null >/dev/null 2>&1 &)"


def test_cancel_ends_everything_everywhere(gang):
    script = ""
    for i in range(3):
        (gang.work / f"linger{i}.sh").write_text(LINGER.format(f"linger{i}"))
        (gang.work / f"detached{i}.sh").write_text(DETACH.format(f"detached{i}"))
        script += f"{REXEC} n{i} bash linger{i}.sh </dev/null &\n{REXEC} n{i} bash detached{i}.sh </dev/null\n"
    job = start(gang, script + "touch all; wait")
    pids = pids_of(gang, *[f"{kind}{i}" for kind in ("linger", "detached") for i in range(3)])
    wait_until((gang.work / "all").exists, "all commands to be started")
    assert all(map(is_alive, pids))  # those that are detached live as long as their task
    gang.hq("job", "cancel", job)
    gone(pids)
    assert gang.task(job)["state"] == "canceled"
    assert run(gang, f"{REXEC} n2 echo again </dev/null") == "again\n"  # the nodes are clean for the next one


def test_the_end_of_the_task_ends_what_it_left(gang):
    (gang.work / "detached.sh").write_text(DETACH.format("detached"))
    run(gang, f"{REXEC} n1 bash detached.sh </dev/null; until test -e detached; do sleep 0.02; done")
    gone(pids_of(gang, "detached"))


def test_a_caller_that_goes_takes_its_command_along(gang):
    (gang.work / "linger.sh").write_text(LINGER.format("linger"))
    job = start(gang, f"{REXEC} n1 bash linger.sh </dev/null & echo $! > caller.p; mv caller.p caller; wait $!; echo $?; touch next; sleep 1000")
    pid, caller = pids_of(gang, "linger", "caller")
    assert is_alive(pid)
    os.kill(caller, signal.SIGKILL)
    gone([pid])
    wait_until((gang.work / "next").exists, "the task to go on")
    gang.hq("job", "cancel", job)


def test_a_lost_node_ends_its_commands_and_not_the_task(gang):
    job = start(gang, f"{REXEC} n1 'touch there; sleep 1000' </dev/null; echo $?; {REXEC} n2 echo fine </dev/null")
    wait_until((gang.work / "there").exists, "the remote command")
    gang.nodes[1].kill()
    gang.wait_job(job)
    assert gang.read(f"job-{job}/0.stdout") == "255\nfine\n"
    assert "Node n1 is lost: the connection has ended" in gang.read(f"job-{job}/0.stderr")
    assert gang.task(job)["state"] == "finished"


def test_a_node_that_stops_answering_is_lost(gang):
    job = start(gang, f"{REXEC} n1 'touch there; sleep 1000' </dev/null; echo $?")
    wait_until((gang.work / "there").exists, "the remote command")
    gang.nodes[1].signal(signal.SIGSTOP)
    try:
        gang.wait_job(job)
    finally:
        gang.nodes[1].signal(signal.SIGCONT)
    assert gang.read(f"job-{job}/0.stdout") == "255\n"
    assert "nothing was heard of it for 2 s" in gang.read(f"job-{job}/0.stderr")


def test_a_lost_root_leaves_nothing_on_the_others(gang):
    """The task starts again elsewhere; what it had on the other nodes ends, also what had detached itself."""
    (gang.work / "linger.sh").write_text(LINGER.format("linger"))
    (gang.work / "detached.sh").write_text(DETACH.format("detached"))
    job = start(gang, f"test $HQ_INSTANCE_ID = 0 || exit 0\n{REXEC} n1 bash detached.sh </dev/null\n{REXEC} n1 bash linger.sh </dev/null")
    linger, detached = pids_of(gang, "linger", "detached")
    gang.nodes[0].kill()
    gone([linger])  # its link tells
    gone([detached], timeout=6.0)  # hqd tells, when it has missed the root for 2 s
    gang.start_worker("--hostname=n3", name="n3")
    gang.wait_job(job)
    assert gang.task(job)["state"] == "finished"


def test_a_node_that_is_stopped_in_order(gang):
    job = start(gang, f"{REXEC} n2 'touch there; sleep 1000' </dev/null; echo $?")
    wait_until((gang.work / "there").exists, "the remote command")
    gang.hq("worker", "stop", 3)
    gang.wait_job(job)
    assert gang.nodes[2].wait() == 0
    assert gang.read(f"job-{job}/0.stdout") == "255\n"


def test_hqd_may_be_away(gang):
    """A gang goes on while hqd is killed and started again; its nodes are still its nodes."""
    job = start(gang, f"touch here; until test -e go; do sleep 0.02; done; {REXEC} n1 echo one </dev/null; "
                      f"until test -e back; do sleep 0.02; done; {REXEC} n2 echo two </dev/null")
    wait_until((gang.work / "here").exists, "the task")
    gang.server.kill()
    (gang.work / "go").touch()
    wait_until(lambda: gang.read(f"job-{job}/0.stdout") == "one\n", "a remote command without hqd")
    gang.server = gang.start_server()
    wait_until(lambda: len(gang.running_workers()) == 3, "the workers to come back")
    (gang.work / "back").touch()
    gang.wait_job(job)
    assert gang.read(f"job-{job}/0.stdout") == "one\ntwo\n"
    assert gang.task(job)["state"] == "finished"
    assert run(gang, f"{REXEC} n2 echo again </dev/null") == "again\n"


def test_nodes_of_a_task_do_not_rest_while_hqd_is_away(server):
    """Nothing runs on n1, but its task does: the idle timeout, after which a worker gives hqd up, does not count."""
    nodes = [server.start_worker(f"--hostname=n{i}", "--idle-timeout=1s", name=f"n{i}", wait=False) for i in range(2)]
    (server.work / "task.sh").write_text(f"touch here; until test -e back; do sleep 0.02; done; {REXEC} n1 echo one </dev/null")
    job = server.submit("--nodes=2", "bash", "task.sh")
    wait_until((server.work / "here").exists, "the task")
    server.server.kill()
    with pytest.raises(subprocess.TimeoutExpired):
        nodes[1].process.wait(5)  # grace of 2 s and the timeout are over by then
    server.server = server.start_server()
    wait_until(lambda: len(server.running_workers()) == 2, "the workers to come back")
    (server.work / "back").touch()
    server.wait_job(job)
    assert server.read(f"job-{job}/0.stdout") == "one\n"


def test_one_task_after_the_other_leaves_nothing(gang):
    script = f"{REXEC} n1 true </dev/null && {REXEC} n2 true </dev/null"
    for _ in range(3):
        run(gang, script)
    before = [(rss_kb(node.pid), fd_count(node.pid)) for node in gang.nodes]
    (gang.work / "task.sh").write_text(script)
    count = 20 if SAN else 100
    job = gang.submit("--nodes=3", f"--array=1-{count}", "bash", "task.sh")
    assert gang.wait_job(job, timeout=50)["finished"] == count
    for node, (kb, fds) in zip(gang.nodes, before):
        assert fd_count(node.pid) <= fds + 4
        assert rss_kb(node.pid) - kb < (100_000 if SAN else 3_000)


# ---- hostile input
def local_socket(world, worker):
    """Where tasks of that worker talk to it: the one of its pid."""
    for path in world.tmp.glob("hq-lc-*"):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            cred = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            if struct.unpack("3i", cred)[0] == worker.pid:
                return str(path)
    raise AssertionError(f"no socket of {worker.name}")


def is_hung_up(path, data):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(path)
        sock.sendall(data)
        try:
            return sock.recv(100) == b""
        except ConnectionResetError:
            return True


def frame(body):
    return struct.pack("<I", len(body)) + body


def hello(token, kind):
    inner = b"\n" + bytes([len(token)]) + token + (b"\x10" + bytes([kind]) if kind else b"")
    return frame(b"\x1a" + bytes([len(inner)]) + inner)


def test_nonsense_on_the_local_socket(gang):
    job = start(gang, "echo ${HQ_ACCESS_KEY##*:} > key.p; mv key.p key; until test -e go; do sleep 0.02; done; "
                      f"{REXEC} n1 echo unharmed </dev/null")
    wait_until((gang.work / "key").exists, "the token of the task")
    token = gang.read("key").strip().encode()
    path = local_socket(gang, gang.nodes[0])
    for data in (b"\0\0\0\0", b"\1\0\0\0x", frame(b"\xff" * 100), frame(b"x" * 300), b"\0\0\x10\0" + b"x" * 300,
                 hello(b"hq0-0-wrongkey", 1), hello(b"", 0), hello(token, 0), hello(token, 2),
                 hello(token, 1) + frame(b"\x1a\0"), hello(token, 1) + frame(b"\x6a\x04\x22\x02hi"),
                 hello(token, 1) + b"\xff\xff\xff\xff", hello(token, 1) + frame(b"\x2a\0")):
        assert is_hung_up(path, data), data
    (gang.work / "go").touch()
    gang.wait_job(job)
    assert gang.read(f"job-{job}/0.stdout") == "unharmed\n"
    assert all(node.running() for node in gang.nodes)


def test_nonsense_on_the_port_between_nodes(gang):
    job = start(gang, f"{REXEC} n1 'touch there; until test -e go; do sleep 0.02; done; echo unharmed' </dev/null")
    wait_until((gang.work / "there").exists, "the remote command")
    port = int(gang.json("worker", "info", 2)[0]["configuration"]["listen_address"].rsplit(":", 1)[1])
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 1000, b"\x48\0\0\0HQP1" + b"\0" * 68, b"\0" * 100):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
            sock.sendall(data)
            try:
                assert sock.recv(100) == b""
            except ConnectionResetError:
                pass
    (gang.work / "go").touch()
    gang.wait_job(job)
    assert gang.read(f"job-{job}/0.stdout") == "unharmed\n"


# ---- hq-stepd
def test_without_hq_stepd(world):
    """The programs are copied without it: --mpi says so, mpirun is left alone."""
    world.bin = world.root / "bin"
    world.bin.mkdir()
    for name in ("hq", "hqd", "hq-workerd"):
        shutil.copy(BIN / name, world.bin / name)
    world.start_server()
    world.start_worker("--hostname=n0")
    job = world.submit("--mpi", "--cpus=1", "true")
    world.hq("job", "wait", job, check=False)
    assert world.task(job)["error"] == "Tasks of several ranks (--mpi) need the program hq-stepd beside hq-workerd"
    job = world.submit("--nodes=1", "env")
    world.wait_job(job)
    assert "MCA" not in world.read(f"job-{job}/0.stdout")


def stepd_of(worker):
    """Process id of the hq-stepd that this worker has started."""
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if (entry / "comm").read_text().strip() == "hq-stepd" and \
                    int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == worker.pid:
                return int(entry.name)
        except (OSError, ValueError):
            continue
    return 0


def start_ranks(world):
    """One sleeping rank on each node; their process ids."""
    (world.work / "rank.sh").write_text("echo $$ > rank$PMI_RANK.p; mv rank$PMI_RANK.p rank$PMI_RANK; exec sleep 1000")
    job = world.submit("--nodes=3", "--mpi", "--ranks-per-node=1", "--crash-limit=2", "sh", "rank.sh")
    return job, pids_of(world, "rank0", "rank1", "rank2")


@pytest.mark.parametrize("node", [0, 1])
def test_killed_hq_stepd_ends_the_task_with_a_reason(gang, node):
    job, pids = start_ranks(gang)
    os.kill(stepd_of(gang.nodes[node]), signal.SIGKILL)
    gone(pids)
    gang.hq("job", "wait", job, check=False)
    task = gang.task(job)
    assert task["state"] == "failed"
    assert "hq-stepd" in task["error"] and "was killed by signal 9 (SIGKILL)" in task["error"]
    assert "n1" in task["error"] or node == 0
    assert all(worker.running() for worker in gang.nodes)
    assert run(gang, "echo next") == "next\n"


def test_ranks_end_with_a_lost_node_and_start_again(gang):
    gang.start_worker("--hostname=n3", name="n3")
    job, pids = start_ranks(gang)
    for i in range(3):
        (gang.work / f"rank{i}").unlink()
    gang.nodes[1].kill()
    gone(pids)
    again = pids_of(gang, "rank0", "rank1", "rank2")  # on the node that was free
    assert gang.task(job)["state"] == "running"
    gang.hq("job", "cancel", job)
    gone(again)


def test_cancel_and_time_limit_end_ranks_everywhere(gang):
    job, pids = start_ranks(gang)
    gang.hq("job", "cancel", job)
    gone(pids)
    for i in range(3):
        (gang.work / f"rank{i}").unlink()
    job = gang.submit("--nodes=3", "--mpi", "--ranks-per-node=1", "--time-limit=1s", "sh", "rank.sh")
    pids = pids_of(gang, "rank0", "rank1", "rank2")
    gone(pids, timeout=5.0)
    gang.hq("job", "wait", job, check=False)
    assert gang.task(job)["error"] == "Time limit reached"


# ---- streamed output of ranks
JOIN = "ask() { echo \"cmd=$*\" >&$PMI_FD; IFS= read -r answer <&$PMI_FD; }\nask init pmi_version=1 pmi_subversion=1\nask barrier_in\n"


def test_streams_keep_the_ranks(gang):
    (gang.work / "rank.sh").write_text(JOIN + 'for i in 1 2 3; do echo "r$HQ_RANK line $i"; done; echo "e$HQ_RANK" >&2; ask finalize\n')
    gang.submit("--wait", "--nodes=3", "--mpi", "--ranks-per-node=2", "--stream=out", "bash", "rank.sh")
    shown = gang.hq("output-log", "out", "show").out.splitlines()
    seen, channel = {}, None
    for line in shown:  # "1.0:0[3]> text", further lines of a chunk stand alone
        head, found, text = line.partition("> ")
        channel, text = (head.split(":")[1], text) if found else (channel, line)
        seen.setdefault(channel, []).append(text)
    expected = {f"0[{rank}]": [f"r{rank} line {i}" for i in (1, 2, 3)] for rank in range(6)}
    expected.update({f"1[{rank}]": [f"e{rank}"] for rank in range(6)})
    assert seen == expected
    assert sorted(gang.hq("output-log", "out", "cat", 1, "stdout").out.splitlines()) == sorted(
        line for channel, lines in expected.items() if channel[0] == "0" for line in lines)


def test_a_killed_task_leaves_a_stream_that_can_be_read(gang):
    (gang.work / "rank.sh").write_text(JOIN + 'echo "r$HQ_RANK"; touch up$HQ_RANK; exec sleep 1000\n')
    job = gang.submit("--nodes=3", "--mpi", "--ranks-per-node=1", "--stream=out", "bash", "rank.sh")
    wait_until(lambda: all((gang.work / f"up{i}").exists() for i in range(3)), "three ranks")
    wait_until(lambda: gang.hq("output-log", "out", "show").out.count("]> r") == 3, "their output")
    os.kill(stepd_of(gang.nodes[0]), signal.SIGKILL)
    gang.hq("job", "wait", job, check=False)
    assert gang.hq("output-log", "out", "show").out.count("]> r") == 3
