"""Sections 17 to 19 of the command line beside test_tasks.py and test_resources.py: how a task is run, placeholders, its environment."""
import os

import pytest

from harness import wait_until


def error_of(world, *args):
    job = world.submit(*args)
    world.wait_job(job)
    return world.task(job).get("error")


# ---- 17.1
def test_directories_are_made(cluster):
    job = cluster.submit("--cwd=a/b", "--stdout=c/d/o", "--stderr=/%s/e" % str(cluster.work / "x/y").lstrip("/"), "--wait", "pwd")
    assert cluster.read("a/b/c/d/o") == f"{cluster.work}/a/b\n" and (cluster.work / "x/y/e").exists() and job == 1


def test_files_have_the_mode_of_the_umask(server):
    server.start_worker(preexec_fn=lambda: os.umask(0o027))
    server.submit("--stdout=o", "--wait", "true")
    assert (server.work / "o").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("args, stem, has_times", [
    (["--stdout=file/x"], "Cannot create stdout directory at", False), (["--stderr=file/x"], "Cannot create stderr directory at", False),
    (["--cwd=file/x", "--stdout=none", "--stderr=none"], "Could not create working directory:", True), (["--stdout=dir"], "Creating stream file failed:", True),
])
def test_what_cannot_be_made(cluster, args, stem, has_times):
    (cluster.work / "file").write_text("")
    (cluster.work / "dir").mkdir()
    job = cluster.submit(*args, "true")
    cluster.wait_job(job)
    task = cluster.task(job)
    assert task["state"] == "failed" and stem in task["error"] and ("started_at" in task) == has_times
    if stem.startswith("Cannot create stderr"):
        assert "stderr" in task["error"] and "/file" in task["error"]


def test_pin_without_cpus(cluster):
    cluster.hq("worker", "stop", "all")
    cluster.start_worker("--cpus=1", "--resource=foo=sum(4)")
    (cluster.work / "p.toml").write_text('[[task]]\ncommand = ["true"]\npin = "taskset"\n[[task.request]]\nresources = {foo = 1}\n')
    job = int(cluster.quiet("job", "submit-file", "p.toml", "--wait"))
    assert "Pinning failed, no CPU ids allocated for task" in cluster.task(job, 1)["error"]


def test_cpus_that_this_machine_does_not_have(server):
    """As with `taskset`: its reason is on stderr, its status is the task's."""
    server.start_worker("--cpus=[1000]", "--detect-resources=none")
    job = server.submit("--pin=taskset", "true")
    server.wait_job(job)
    assert server.task(job)["error"] == "Program terminated with exit code 1."
    assert server.read(f"job-{job}/0.stderr").startswith("hq: cannot bind the task to its CPUs")


# ---- 17.2
@pytest.mark.parametrize("text, mode, program, part", [
    ("#!/no/such/interpreter\n", 0o755, "./p", "was not found."), ("x", 0o644, "./p.sh", "is not executable"), ("x", 0o644, "./p", "Permission denied (os error 13)"),
    ("x", 0o755, "p", "./p"),
])
def test_programs_that_do_not_start(cluster, text, mode, program, part):
    path = cluster.work / program.split("/")[-1]
    path.write_text(text)
    path.chmod(mode)
    error = error_of(cluster, "--directives=off", program, "an arg")
    assert error.startswith(f'Cannot execute "{program} an arg": ') and part in error


def test_name_without_a_slash_is_looked_for_in_the_tasks_path(cluster):
    (cluster.work / "d").mkdir()
    cluster.script("d/mine", "echo found\n")
    assert error_of(cluster, "mine") is not None
    assert error_of(cluster, f"--env=PATH={cluster.work}/d:/bin", "mine") is None
    assert error_of(cluster, "--cwd=d", "./mine") is None  # relative to its working directory


# ---- 17.4, 17.5
@pytest.mark.parametrize("number, name", [(1, "SIGHUP"), (2, "SIGINT"), (6, "SIGABRT"), (10, "SIGUSR1"), (13, "SIGPIPE"), (15, "SIGTERM"), (34, "unknown")])
def test_signals(cluster, number, name):
    error = error_of(cluster, "bash", "-c", f"kill -{number} $$; sleep 10")
    assert error == f"Program terminated with exit code -1. Received signal {number} ({name})."


@pytest.mark.parametrize("write, error", [
    ('printf "short" >$HQ_ERROR_FILENAME', "short"), (': >$HQ_ERROR_FILENAME', "Task created an error file, but it is empty"), ("true", "Program terminated with exit code 3."),
    ('printf "a\\377b\\n" >$HQ_ERROR_FILENAME', "a\ufffdb\n"), ('head -c 3000 /dev/zero | tr "\\0" x >$HQ_ERROR_FILENAME', "x" * 2048 + "\n[The message was truncated]"),
    ("mkdir $HQ_ERROR_FILENAME", "Program terminated with exit code 3."),
])
def test_own_error_text(cluster, write, error):
    assert error_of(cluster, "--task-dir", "sh", "-c", f"{write}; exit 3") == error


def test_error_file_counts_only_for_failures(cluster):
    assert error_of(cluster, "--task-dir", "sh", "-c", 'echo x >"$HQ_ERROR_FILENAME"; exit 0') is None


def test_task_directory_is_in_the_workers(server):
    server.start_worker(f"--work-dir={server.work}/wd")
    for end in ("exit 0", "exit 1", "kill -9 $$"):
        job = server.submit("--task-dir", "sh", "-c", f'echo "$HQ_TASK_DIR $HQ_ERROR_FILENAME"; mkdir "$HQ_TASK_DIR/sub"; touch "$HQ_TASK_DIR/sub/x"; {end}')
        server.wait_job(job)
        directory, error_file = server.read(f"job-{job}/0.stdout").split()
        assert directory.startswith(f"{server.work}/wd/t") and error_file == f"{directory}/hq-error"
        wait_until(lambda: not os.path.exists(directory), "its directory gone")


# ---- 18
@pytest.mark.parametrize("option, path, where", [
    ("--stdout", "%{JOB_ID}/%{TASK_ID}-%{INSTANCE_ID}", "{work}/1/7-0"), ("--stdout", "%{CWD}/x", "{work}/x"), ("--stdout", "%{SUBMIT_DIR}/s", "{work}/s"),
    ("--stdout", "%{SERVER_UID}", "{work}/{uid}"), ("--stdout", "%{SERVER_ID}", "{work}/{uid}"), ("--stdout", "50%-%{TASK_ID}", "{work}/50%-7"), ("--stdout", "%%{TASK_ID}%", "{work}/%7%"),
    ("--stdout", "%{NOPE}", "{work}/%{{NOPE}}"), ("--stdout", "%{task_id}", "{work}/%{{task_id}}"), ("--stdout", "a%{", "{work}/a%{{"),
    ("--cwd", "w-%{TASK_ID}", "{work}/w-7/job-1/7.stdout"), ("--cwd", "%{NOPE}", "{work}/%{{NOPE}}/job-1/7.stdout"), ("--cwd", "%{JOB_ID}/%{INSTANCE_ID}", "{work}/1/0/job-1/7.stdout"),
])
def test_placeholders(cluster, option, path, where):
    """One pass over the original text, relative paths completed once, a lone % hides nothing: the reference differs in each."""
    job = cluster.submit(f"{option}={path}", "--array=7", "--wait", "echo", "here")
    expected = where.format(work=cluster.work, uid=cluster.json("server", "info")["server_uid"])
    assert cluster.task(job, 7)["stdout"] == expected
    with open(expected, encoding="utf-8") as file:
        assert file.read() == "here\n"


def test_text_put_in_is_not_scanned(cluster):
    odd = cluster.work / "odd-%{TASK_ID}"
    odd.mkdir()
    job = cluster.submit("--wait", "pwd", cwd=odd)
    assert (odd / f"job-{job}/0.stdout").read_text() == f"{odd}\n"


def test_not_in_commands_names_and_variables(cluster):
    job = cluster.submit("--name=n-%{JOB_ID}", "--env=V=%{TASK_ID}", "--wait", "sh", "-c", 'echo "$V" "$1"', "x", "%{JOB_ID}")
    assert cluster.read(f"job-{job}/0.stdout") == "%{TASK_ID} %{JOB_ID}\n" and cluster.jobs()[job]["name"] == "n-%{JOB_ID}"


def test_placeholders_of_a_stream(cluster):
    cluster.submit("--stream=%{SUBMIT_DIR}/s-%{JOB_ID}-%{SERVER_UID}", "--wait", "echo", "x")
    directory = f"s-1-{cluster.json('server', 'info')['server_uid']}"
    assert cluster.hq("output-log", directory, "cat", "1", "stdout").out == "x\n"


def test_job_info_shows_the_first_step(server):
    job = server.submit("--stdout=%{JOB_ID}-%{CWD}-%{TASK_ID}", "--stderr=%{SUBMIT_DIR}/e-%{INSTANCE_ID}", "true")
    shown = server.hq("job", "info", job).out
    assert f"/e-%{{INSTANCE_ID}} " in shown and f"{job}-{server.work}-%{{TASK_ID}} " in shown


# ---- 19
def environment(world, *args, **more):
    job = world.submit(*args, "--wait", "env", "-0", **more)
    text = (world.work / f"job-{job}/0.stdout").read_bytes().decode()
    return dict(item.split("=", 1) for item in text.split("\0") if item)


def test_always_there(cluster):
    seen = environment(cluster)
    assert {name: seen[name] for name in ("HQ_JOB_ID", "HQ_TASK_ID", "HQ_INSTANCE_ID", "HQ_SUBMIT_DIR", "HQ")} == {
        "HQ_JOB_ID": "1", "HQ_TASK_ID": "0", "HQ_INSTANCE_ID": "0", "HQ_SUBMIT_DIR": str(cluster.work), "HQ": str(cluster.bin / "hq")}
    socket, token = seen["HQ_ACCESS_KEY"].split(":", 1)
    assert socket.startswith("/") and token
    for absent in ("HQ_ENTRY", "HQ_TASK_DIR", "HQ_PIN", "HQ_RESOURCE_VARIANT", "HQ_NODE_FILE", "RUST_BACKTRACE", "HQ_ERROR_FILENAME", "HQ_NUM_NODES"):
        assert absent not in seen


def test_who_wins(server):
    """worker < user < system; OMP_* of the user stay; unknown HQ_* pass."""
    server.start_worker(env={"A": "worker", "B": "worker"})
    seen = environment(server, "--env=A=user", "--env=HQ_JOB_ID=user", "--env=HQ_MINE=user", "--env=OMP_NUM_THREADS=9", "--cpus=2")
    assert (seen["A"], seen["B"], seen["HQ_JOB_ID"], seen["HQ_MINE"], seen["OMP_NUM_THREADS"]) == ("user", "worker", "1", "user", "9")
    assert seen["HQ_RESOURCE_REQUEST_cpus"] == "2 compact" and sorted(seen["HQ_CPUS"].split(",")) == ["0", "1"]


def test_fractions_have_no_thread_count(cluster):
    seen = environment(cluster, "--cpus=1.5")
    assert "OMP_NUM_THREADS" not in seen and seen["HQ_RESOURCE_REQUEST_cpus"] == "1.5 compact" and seen["HQ_CPUS"].count(",") == 1


def test_names_of_resources(server):
    server.start_worker("--cpus=1", "--resource=gpus/nvidia=[3,4]", "--resource=foo=sum(10)", "--resource=gpus/amd=[x,y]")
    seen = environment(server, "--resource=gpus/nvidia=2", "--resource=foo=1.5", "--resource=gpus/amd=1", "--env=CUDA_VISIBLE_DEVICES=9")
    assert seen["HQ_RESOURCE_REQUEST_gpus_nvidia"] == "2 compact" and seen["HQ_RESOURCE_REQUEST_foo"] == "1.5 compact"
    assert sorted(seen["HQ_RESOURCE_VALUES_gpus_nvidia"].split(",")) == ["3", "4"] and "HQ_RESOURCE_VALUES_foo" not in seen
    assert seen["CUDA_VISIBLE_DEVICES"] == seen["HQ_RESOURCE_VALUES_gpus_nvidia"] and seen["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert seen["ROCR_VISIBLE_DEVICES"] == seen["HQ_RESOURCE_VALUES_gpus_amd"] in ("x", "y")
    for name in ("gpus/nvidia", "gpus_nvidia"):  # the talk's spellings
        assert seen["HQ_RESOURCE_" + name] == seen["HQ_RESOURCE_VALUES_gpus_nvidia"]
