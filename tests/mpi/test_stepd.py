"""hq-stepd alone: real ranks, real libraries; the workers of its nodes are played by pump.py."""
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from harness import SLOW, is_alive, rss_kb, wait_until
from pump import ABORT, ENDED, FENCE, GO, Step

END_S = 3 * SLOW  # all ranks on all nodes
SHAPES = ([4], [2, 2], [1, 2, 1], [1] * 10)


def lines(text):
    return sorted(text.splitlines())


def processes_of(step):
    """Living processes that carry a key of this step."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if step.home.name.encode() in (entry / "environ").read_bytes() and is_alive(int(entry.name)):
                    found.append(int(entry.name))
            except OSError:
                pass
    return found


def parent_of(pid):
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def run(step, seconds=40):
    code = step.run(seconds * SLOW)
    assert processes_of(step) == [], "nothing is left of the step"
    return code


@pytest.mark.parametrize("ranks", SHAPES, ids=str)
def test_world_is_whole(stepd, mpi, ranks):
    """Each rank sees the world of all; no silent worlds of one."""
    with Step(stepd, ranks, [mpi / "hello"]) as step:
        assert run(step) == 0, step.texts()
        seen = sorted(re.findall(r"hello from rank (\d+) of (\d+)", step.texts()[0]))
        assert seen == sorted((str(r), str(sum(ranks))) for r in range(sum(ranks)))


@pytest.mark.parametrize("ranks", ([4], [3, 3]), ids=str)
@pytest.mark.parametrize("program", ("ring", "allreduce"))
def test_ranks_talk(stepd, mpi, program, ranks):
    with Step(stepd, ranks, [mpi / program]) as step:
        assert run(step) == 0, step.texts()
        assert f"{program} of {sum(ranks)} ranks" in step.texts()[0].replace("allreduce of", "allreduce of")


def test_fences_stay_between_the_nodes(stepd, mpi):
    """One message up and one down for each fence: what MPI_Init needs, and no more."""
    with Step(stepd, [1, 1], [mpi / "hello"]) as step:
        assert run(step) == 0
        assert 2 <= step.counts[FENCE] <= 12
        assert step.counts[GO] == 1 and step.counts[ENDED] == 1


@pytest.mark.parametrize("wire_up, good", ((1, "openmpi"), (2, "mpich")))
def test_restricted_wire_up(stepd, mpi, wire_up, good):
    """A library that is offered nothing it knows makes worlds of one: refused, not believed."""
    with Step(stepd, [2], [mpi / "hello"], wire_up=wire_up) as step:
        code = run(step)
        if mpi.library == good:
            assert code == 0, step.error()
        else:
            assert code == 1 and "Ended without having joined the other 1 ranks" in step.error()


def test_one_rank_may_be_any_program(stepd):
    with Step(stepd, [1], ["/bin/echo", "alone"]) as step:
        assert run(step) == 0
        assert step.texts()[0] == "alone\n"


ENDS = {  # what rank 3 does: exit status of the task, text behind "rank 3 on HOST: "
    "exit-7": (7, r"Program terminated with exit code 7\."),
    "late-exit": (11, r"Program terminated with exit code 11\."),
    "exit-0": (1, r"Ended with exit code 0 before MPI_Finalize\."),
    "abort": (42, r"MPI_Abort was called with error code 42\."),
    "segv": (139, r"Program terminated with exit code -1\. Received signal 11 \(SIGSEGV\)\."),
    "kill": (137, r"Program terminated with exit code -1\. Received signal 9 \(SIGKILL\)\."),
    "early-exit": (1, r"Ended without having joined the other 3 ranks: .*"),
    "early-exit-5": (5, r"Program terminated with exit code 5\."),
    "error-file": (9, r"no water in the tank"),
    "garbage": (1, r"Bad PMI request \(unknown command\): \\x01\\x02 this is no sentence of PMI-1"),
    "twice": (None, r"MPI_Abort was called with error code \d+\."),
}


def shared_memory():
    """Of Open MPI's ranks on hosts that only these tests have."""
    return {path.name for path in pathlib.Path("/dev/shm").glob("*segment.n[01].*")}


@pytest.mark.parametrize("ranks", ([4], [2, 2]), ids=str)
@pytest.mark.parametrize("what", ENDS)
def test_first_failure_ends_all(stepd, mpi, what, ranks):
    before = shared_memory()
    with Step(stepd, ranks, [mpi / "ends", what, "3"]) as step:
        code = run(step)
        if len(ranks) > 1:  # others may run these tests, too: theirs goes by itself
            wait_until(lambda: shared_memory() <= before, "no shared memory left behind", 5)
        want, text = ENDS[what]
        assert code == want if want is not None else 0 < code < 128, step.error()
        host = f"n{len(ranks) - 1}"
        assert re.fullmatch(f"rank 3 on {host}: {text}", step.error(), re.S), step.error()
        if len(ranks) > 1:
            assert step.nodes[1].process.returncode == 0, "only the root reports"


@pytest.mark.parametrize("count", (1, 3))
def test_no_spawn(stepd, mpi, count):
    """Refused. Where the library would leave the other ranks waiting, all are ended."""
    with Step(stepd, [count], [mpi / "spawn"]) as step:
        if mpi.library == "openmpi" and count > 1:
            assert run(step) == 1
            assert step.error() == "rank 0 on n0: MPI_Comm_spawn is not supported: all ranks are started with the task."
        else:
            assert run(step) == 0, step.error()
            assert step.texts()[0].count("spawn refused") == count


def test_closed_connection_ends_all(stepd, mpi):
    """The rank lives on, the others wait for it: whoever notices first, all end."""
    with Step(stepd, [2, 2], [mpi / "ends", "close", "3"]) as step:
        assert run(step) != 0
        assert step.error().startswith("rank ")


def test_no_mpi_program(stepd, mpi):
    with Step(stepd, [2, 2], [mpi / "ends", "never"]) as step:
        assert run(step) == 1
        assert "it never called MPI_Init" in step.error()


def test_garbage_at_the_pmix_server(stepd, mpi):
    """From a process that is no rank: dropped, and the step goes on."""
    with Step(stepd, [2], [mpi / "ends", "early-shout", "1"]) as step:
        assert run(step) == 0, (step.error(), step.texts())


def test_missing_program(stepd):
    with Step(stepd, [2, 1], ["/nothing/here", "x"]) as step:
        assert run(step) == 1
        assert re.fullmatch(r'node n[01]: Cannot execute "/nothing/here x": No such file or directory \(os error 2\)\n'
                            r"The program that you have tried to execute \(`/nothing/here`\) was not found\.", step.error())


def waiting(step, count=1):
    return step.texts()[0].count("waiting") >= count


@pytest.mark.parametrize("what", ("hang", "early-hang", "deaf"))
@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM), ids=str)
def test_told_to_end(stepd, mpi, what, number):
    """Cancel and time limit: the worker signals the root; ranks that wait in a fence, or are deaf, end everywhere."""
    with Step(stepd, [2, 2], [mpi / "ends", what, "3"]) as step:
        step.run_until(lambda: waiting(step), 20 * SLOW)
        began = time.monotonic()
        step.nodes[0].process.send_signal(number)
        assert run(step) == 130
        assert time.monotonic() - began < END_S
        assert step.error() == ""


def test_ranks_hear_of_a_cancel(stepd, mpi):
    """SIGINT first, to the ranks of all nodes, and time to say something."""
    with Step(stepd, [2, 1, 1], [mpi / "ends", "polite", "all"]) as step:
        step.run_until(lambda: waiting(step, 4), 20 * SLOW)
        step.nodes[0].process.send_signal(signal.SIGINT)
        assert run(step) == 130
        assert step.texts()[0].count("goodbye") == 4 and step.error() == ""


def test_worker_gone(stepd, mpi):
    """The end of the socket is the end of the worker: the ranks of that node end at once."""
    with Step(stepd, [2, 2], [mpi / "ends", "deaf", "all"]) as step:
        step.run_until(lambda: waiting(step, 4), 20 * SLOW)
        began = time.monotonic()
        for node in step.nodes:
            step.selector.unregister(node.conn)
            node.conn.close()
            node.conn = None
        run(step)
        assert time.monotonic() - began < END_S
        assert "node n0: hq-workerd closed the connection" in step.error()


@pytest.mark.parametrize("links", ([(0, 1)], [(0, 2), (1, 2)]), ids=("with the root", "of one node"))
def test_lost_link_in_a_fence(stepd, mpi, links):
    with Step(stepd, [1, 1, 1], [mpi / "ends", "hang", "2"]) as step:
        step.run_until(lambda: waiting(step) and step.counts.get(FENCE, 0) > 0, 20 * SLOW)
        began = time.monotonic()
        step.filter = lambda a, b, *_: (a, b) not in links and (b, a) not in links
        for a, b in links:
            step.lost(a, b)
        assert run(step) == 1
        assert time.monotonic() - began < END_S
        assert "The connection to this node is lost" in step.error()
        assert any(node == 0 and what == ABORT for node, what, _ in step.to_worker), "the worker is told to try again"


def test_killed_stepd(stepd, mpi):
    """Its ranks die with it; the other node hears of it from the worker."""
    with Step(stepd, [2, 2], [mpi / "ends", "deaf", "all"]) as step:
        step.run_until(lambda: waiting(step, 4), 20 * SLOW)
        victim = step.nodes[1].process
        ranks = [pid for pid in processes_of(step) if parent_of(pid) == victim.pid]
        assert len(ranks) == 2
        victim.kill()
        wait_until(lambda: not any(is_alive(pid) for pid in ranks), "the end of its ranks", 2)
        step.lost(0, 1)
        assert run(step) == 1


def test_nothing_is_left_behind(stepd, mpi):
    """A grandchild in a session of its own, deaf to SIGTERM, ends with the last rank."""
    with Step(stepd, [2, 1], [mpi / "ends", "leave-behind", "all"]) as step:
        assert run(step) == 0, step.error()


@pytest.mark.parametrize("ranks", ([3], [1, 2], [1] * 10), ids=str)
def test_output_in_whole_lines(stepd, mpi, ranks):
    source = subprocess.Popen(["printf", "one\\ntwo\\n"], stdout=subprocess.PIPE)
    with Step(stepd, ranks, [mpi / "lines"], stdin=source.stdout) as step:
        assert run(step, 60) == 0, step.error()
        out, err = step.texts()
        total = sum(ranks)
        want = [f"rank {r} line {i} of many" for r in range(total) for i in range(200)] + ["open end"] * total
        assert lines(out) == sorted(want + ["one", "two"])
        assert "one\ntwo\n" in out
        complaints = [line for line in lines(err) if "complains" in line]
        assert complaints == sorted(f"rank {r} complains {i}" for r in range(total) for i in range(200))
    source.wait()


def test_tagged_output(stepd, mpi):
    with Step(stepd, [1, 1], [mpi / "lines"], tag=True) as step:
        assert run(step) == 0
        out, _ = step.texts()
        assert sorted(set(re.findall(r"^\[(\d)\] rank (\d)", out, re.M))) == [("0", "0"), ("1", "1")]
        assert len(out.splitlines()) == 402


def test_files_of_ranks(stepd, mpi, tmp_path):
    with Step(stepd, [2, 1], [mpi / "lines"], stdout=f"{tmp_path}/deep/%{{RANK}}/out", stderr=f"{tmp_path}/e.%{{RANK}}") as step:
        assert run(step) == 0
        assert step.texts()[0] == ""
        for rank in range(3):
            text = (tmp_path / "deep" / str(rank) / "out").read_text()
            assert text == "".join(f"rank {rank} line {i} of many\n" for i in range(200)) + "open end"
            assert f"rank {rank} complains 199\n" in (tmp_path / f"e.{rank}").read_text()


def test_one_file_for_both(stepd, mpi, tmp_path):
    path = f"{tmp_path}/all.%{{RANK}}"
    with Step(stepd, [2], [mpi / "lines"], stdout=path, stderr=path) as step:
        assert run(step) == 0
        assert len((tmp_path / "all.1").read_text().splitlines()) == 401


def test_cpus_of_ranks(stepd, mpi):
    cpus = sorted(os.sched_getaffinity(0))[:2]
    if len(cpus) < 2:
        pytest.skip("one cpu only")
    with Step(stepd, [2], [mpi / "place"], cpus=cpus, oversubscribe=False) as step:
        assert run(step) == 0, step.error()
        assert lines(step.texts()[0]) == [f"rank {i} cpus {cpus[i]} threads 1" for i in range(2)]
    with Step(stepd, [3], [mpi / "place"], cpus=cpus, oversubscribe=False) as step:
        assert run(step) == 1
        assert "3 ranks of 1 cpus each do not fit 2 cpus" in step.error()


def test_memory_with_64_ranks(stepd, mpi):
    """The goal is under 16 MB, with all ranks wired up."""
    with Step(stepd, [64], [mpi / "ends", "hang", "3"]) as step:
        step.run_until(lambda: waiting(step), 40 * SLOW)
        if SLOW == 1:  # sanitizers take more
            assert rss_kb(step.nodes[0].process.pid) < 16 * 1024
        step.nodes[0].process.send_signal(signal.SIGINT)
        assert run(step) == 130
