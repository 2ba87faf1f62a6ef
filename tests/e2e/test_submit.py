"""hq submit: options and what they do to tasks."""
import json
import os
import time

import pytest

from harness import wait_until


def test_names(cluster):
    cluster.script("prog.sh", "true\n")
    for args, name in [(["/bin/true"], "true"), (["--name=a b", "true"], "a b"), (["./prog.sh"], "prog.sh"), (["--", "true", "--name=x"], "true")]:
        job = cluster.submit(*args)
        assert cluster.jobs()[job]["name"] == name


def test_options_after_the_program_are_its_own(cluster):
    job = cluster.submit("--wait", "echo", "--array", "1-4", "--help")
    assert cluster.jobs()[job]["task_count"] == 1
    assert cluster.read(f"job-{job}/0.stdout") == "--array 1-4 --help\n"


def test_cwd(cluster):
    job = cluster.submit("--cwd=sub/%{JOB_ID}/%{TASK_ID}", "--array=3,5", "--wait", "pwd")
    assert cluster.read(f"sub/{job}/3/job-{job}/3.stdout").strip() == str(cluster.work / "sub" / str(job) / "3")
    refused = cluster.hq("submit", "--cwd=%{CWD}/x", "true", check=False)
    assert refused.status == 1 and "Working directory path cannot contain the working directory placeholder" in refused.err


def test_environment(cluster):
    job = cluster.submit("--env=A=1", "--env", "B=x=y", "--env=C", "--env=HQ_JOB_ID=999", "--array=7", "--wait", "env",
                         env={"ONLY_OF_THE_SHELL": "1"})
    seen = dict(line.split("=", 1) for line in cluster.read(f"job-{job}/7.stdout").splitlines() if "=" in line)
    assert (seen["A"], seen["B"], seen["C"]) == ("1", "x=y", "")
    assert (seen["HQ_JOB_ID"], seen["HQ_TASK_ID"], seen["HQ_INSTANCE_ID"]) == (str(job), "7", "0")
    assert seen["HQ_SUBMIT_DIR"] == str(cluster.work) and seen["HQ"] == str(cluster.bin / "hq")
    assert seen["HQ_RESOURCE_REQUEST_cpus"] == "1 compact" and seen["OMP_NUM_THREADS"] == "1"
    assert seen["HQ_CPUS"] == seen["HQ_RESOURCE_VALUES_cpus"] and seen["HQ_CPUS"] in ("0", "1")
    assert ":" in seen["HQ_ACCESS_KEY"] and "HQ_ENTRY" not in seen
    assert "ONLY_OF_THE_SHELL" not in seen
    assert seen["HOME"] == cluster.env["HOME"]


def test_double_environment_key(cluster):
    twice = cluster.hq("submit", "--env=A=1", "--env=A=2", "--wait", "sh", "-c", "echo $A")
    assert "Some environment variables were ignored." in twice.err
    assert cluster.read("job-1/0.stdout") == "2\n"


def test_output_paths(cluster):
    job = cluster.submit("--stdout=o/%{JOB_ID}-%{TASK_ID}-%{INSTANCE_ID}.txt", "--stderr=none", "--wait", "sh", "-c", "echo x; echo y >&2")
    assert cluster.read(f"o/{job}-0-0.txt") == "x\n"
    assert not (cluster.work / f"job-{job}").exists()
    task = cluster.task(job)
    assert task["stderr"] is None and task["stdout"].endswith(f"/o/{job}-0-0.txt")


def test_output_removed_if_finished(cluster):
    job = cluster.submit("--stdout=:rm-if-finished", "--stderr=e-%{TASK_ID}:rm-if-finished", "--array=0-1", "sh", "-c", "echo x; exit $HQ_TASK_ID")
    cluster.wait_job(job)
    assert sorted(os.listdir(cluster.work / f"job-{job}")) == ["1.stdout"]
    assert (cluster.work / "e-1").exists() and not (cluster.work / "e-0").exists()


def test_same_file_for_both_streams(cluster):
    job = cluster.submit("--stdout=both", "--stderr=both", "--wait", "sh", "-c", "echo a; echo b >&2; echo c")
    assert cluster.read("both") == "a\nb\nc\n" and job == 1


def test_output_is_truncated_by_a_new_run(cluster):
    (cluster.work / "out").write_text("old and longer than the new text\n")
    cluster.submit("--stdout=out", "--wait", "echo", "new")
    assert cluster.read("out") == "new\n"


def test_priorities(server):
    order = server.work / "order"
    ids = {}
    for priority in ("0", "-5", "7", "3", "2147483647"):
        ids[server.submit(f"--priority={priority}", "sh", "-c", f"echo $HQ_JOB_ID >>{order}")] = int(priority)
    server.start_worker("--cpus=1")
    server.hq("job", "wait", "all")
    ran = [ids[int(line)] for line in order.read_text().split()]
    assert ran == sorted(ran, reverse=True)


def test_age_decides_within_a_priority(server):
    order = server.work / "order"
    for _ in range(3):
        server.submit("--array=0-3", "sh", "-c", f"echo $HQ_JOB_ID.$HQ_TASK_ID >>{order}")
    server.start_worker("--cpus=1")
    server.hq("job", "wait", "all")
    assert order.read_text().split() == [f"{job}.{task}" for job in (1, 2, 3) for task in range(4)]


def test_max_fails(server):
    job = server.submit("--array=0-99", "--max-fails=3", "false")
    server.start_worker("--cpus=1")
    stats = server.wait_job(job)
    assert stats["failed"] == 4 and stats["aborted"] == 96
    assert server.quiet("job", "list", "--all") == f"{job} FAILED\n"


def test_subset_of_lines(cluster):
    (cluster.work / "in").write_bytes(b"zero\none\r\ntwo\n\xff\xfe\n")
    job = cluster.submit("--each-line=in", "--array=1,3,9", "--wait", "sh", "-c", 'printf %s "$HQ_ENTRY"')
    assert sorted(cluster.tasks(job)) == [1, 3]
    assert (cluster.work / f"job-{job}/1.stdout").read_bytes() == b"one\r"
    assert (cluster.work / f"job-{job}/3.stdout").read_bytes() == b"\xff\xfe"


def test_empty_lines_file(cluster):
    (cluster.work / "in").write_text("")
    empty = cluster.hq("submit", "--each-line=in", "--wait", "true")
    assert "INFO Reading file: in" in empty.err
    assert cluster.quiet("job", "list", "--all") == "1 FINISHED\n" and cluster.jobs()[1]["task_count"] == 0


def test_bad_sources(cluster):
    (cluster.work / "object.json").write_text('{"a": 1}')
    (cluster.work / "broken.json").write_text("[1,\n2,,3]")
    for args, text in [(["--each-line=missing"], "No such file or directory (os error 2)"),
                       (["--from-json=object.json"], "The top element of the provided JSON file has to be an array"),
                       (["--from-json=broken.json"], "broken.json")]:
        failed = cluster.hq("submit", *args, "true", check=False)
        assert failed.status == 1 and text in failed.err, failed
    assert cluster.jobs() == {}


def test_large_lists_of_entries(cluster):
    """More than one message: parts go up before the submit."""
    lines = [f"{number:07d}" + "x" * 40 for number in range(50000)]
    (cluster.work / "in").write_text("\n".join(lines))
    job = cluster.submit("--each-line=in", "--stdout=none", "--stderr=none", "sh", "-c",
                         f'[ "${{HQ_ENTRY%%x*}}" -eq "$HQ_TASK_ID" ] || echo $HQ_TASK_ID >>{cluster.work}/wrong')
    assert cluster.jobs()[job]["task_count"] == 50000
    wait_until(lambda: cluster.stats(job)["finished"] >= 200, "200 of them finished")
    cluster.hq("job", "cancel", job)
    assert cluster.wait_job(job)["failed"] == 0
    assert not (cluster.work / "wrong").exists()


def test_wait_blocks_and_prints_nothing_more(server):
    waiting = server.spawn_hq("submit", "--wait", "false")
    waiting.wait_for_out("Job submitted successfully, job ID: 1\n")
    assert waiting.running()
    server.start_worker()
    assert waiting.wait() == 0
    assert waiting.out() == "Job submitted successfully, job ID: 1\n"


def test_progress_of_a_submit(cluster):
    shown = cluster.hq("submit", "--array=1-5", "--progress", "true")
    assert "job ID: 1\n" in shown.out and "1/1 jobs, 5/5 tasks" in shown.out and shown.out.endswith("\n")


def test_stdin(cluster):
    text = b"line one\n" * 50000
    job = int(cluster.quiet("submit", "--stdin", "--wait", "sh", "-c", "cat", stdin=text).split()[-1])
    assert (cluster.work / f"job-{job}/0.stdout").read_bytes() == text


def test_directives(cluster):
    cluster.script("run.sh", "#HQ --array=1-3 --name \"from file\"\n#HQ --env=A=b\necho $A\n")
    job = cluster.submit("--name=mine", "--wait", "./run.sh")
    assert cluster.jobs()[job]["task_count"] == 3 and cluster.jobs()[job]["name"] == "mine"
    assert cluster.read(f"job-{job}/2.stdout") == "b\n"
    cluster.script("bad.sh", "#HQ --wait\ntrue\n")
    bad = cluster.hq("submit", "./bad.sh", check=False)
    assert bad.status == 1 and "You have used invalid parameter(s) after a #HQ directive." in bad.err


def test_task_dir(cluster):
    job = cluster.submit("--task-dir", "--wait", "sh", "-c", 'echo "$HQ_TASK_DIR"; ls -d "$HQ_TASK_DIR"; touch "$HQ_TASK_DIR/x"')
    first, second = cluster.read(f"job-{job}/0.stdout").splitlines()
    assert first == second and os.path.basename(first).startswith("t")
    assert not os.path.exists(first)


def test_own_error_message(cluster):
    job = cluster.submit("--task-dir", "sh", "-c", 'echo "no more apples" >"$HQ_ERROR_FILENAME"; exit 3')
    cluster.wait_job(job)
    assert cluster.task(job)["error"] == "no more apples\n"


def test_open_job(cluster):
    assert cluster.hq("job", "open", "--name=box").out == "Job 1 is open.\n"
    cluster.submit("--job=1", "true")
    cluster.submit("--job=1", "--array=5-6", "true")
    cluster.submit("--job=1", "true")
    wait_until(lambda: cluster.ended(1), "its tasks to end")
    assert sorted(cluster.tasks(1)) == [0, 5, 6, 7]
    listed = cluster.hq("job", "list").out
    assert "| *1 | box  | OPENED | 4     |" in listed and listed.rstrip().endswith("* = Open jobs")
    clash = cluster.hq("submit", "--job=1", "--array=6", "true", check=False)
    assert clash.status == 1 and "Task 6 already exists in job 1." in clash.err
    named = cluster.hq("submit", "--job=1", "--name=x", "true", check=False)
    assert named.status == 1 and "Parameter --name is not allowed when submitting to an open job." in named.err
    assert "INFO Job 1 closed" in cluster.hq("job", "close", "1").err
    closed = cluster.hq("submit", "--job=1", "true", check=False)
    assert closed.status == 1 and "Job 1 is not opened." in closed.err


def test_warnings(cluster):
    many = cluster.hq("submit", "--array=1-600", "true")
    assert "WARN The job will create 1200 files for stdout and stderr" in many.err
    same = cluster.hq("submit", "--array=1-2", "--stdout=one", "true")
    assert "%{TASK_ID}" in same.err
    unknown = cluster.hq("submit", "--stdout=%{MOON}", "true")
    assert "MOON" in unknown.err and "stdout path" in unknown.err


@pytest.mark.parametrize("args", [
    ["--array=3-1"], ["--array=1-3:0"], ["--array="], ["--array=1,1"], ["--cpus=0"], ["--cpus=1.23456"], ["--priority=x"],
    ["--priority=2147483648"], ["--time-limit=xx"], ["--max-fails=-1"], ["--env="], ["--crash-limit=0"], ["--frob"],
    ["--wait", "--progress"], ["--each-line=a", "--from-json=b"], ["--array=1", "--array=2"], ["--stdout=a:moon"], ["--cwd="],
    ["--job=x"], [],
])
def test_usage_errors(world, args):
    """Exit 2 on stderr, without a server, naming the option."""
    program = ["true"] if args else []
    failed = world.hq("--output-mode=json", "submit", *args, *program, check=False)
    assert failed.status == 2 and failed.out == ""
    assert failed.err.startswith("error: ") and failed.err.endswith("For more information, try '--help'.\n") or "Crash limit" in failed.err
    if args:
        assert args[0].split("=")[0] in failed.err or "Crash limit" in failed.err


def test_submit_is_fast(cluster):
    """A million tasks are one range: the time is that of a message and a disk write, whatever the count."""
    begin = time.monotonic()
    job = cluster.submit("--array=1-1000000", "--cpus=64", "true")
    assert time.monotonic() - begin < 2
    assert cluster.jobs()[job]["task_count"] == 1000000
    info = cluster.json("job", "info", job)[0]
    assert json.dumps(info["info"]["task_stats"]["waiting"]) == "1000000"
