"""One test per line of the product's talk (the row's number in the name), as far as the commands exist."""
import json
import os
import re
import shutil
import signal

import pytest

from harness import BIN, wait_until


def test_row01_runs_where_it_is_unpacked(world):
    """No installation, no configuration: the programs find each other beside themselves."""
    place = world.root / "anywhere" / "hq 1.0"
    place.mkdir(parents=True)
    for name in ("hq", "hqd", "hq-workerd"):
        shutil.copy2(BIN / name, place / name)
    world.bin = place
    world.env["PATH"] = "/usr/bin:/bin"
    assert world.hq("--version").out.startswith("hyperqueue ")
    world.start_server()
    world.start_worker()
    job = world.submit("--wait", "sh", "-c", "echo $HQ")
    assert world.read(f"job-{job}/0.stdout").strip() == str(place / "hq")


def test_row02_server_start(world):
    server = world.start_server()
    directory = world.server_dir
    assert "INFO No online server found, starting a new server" in server.err()
    assert f"INFO Storing access file as '{directory}/001/access.json'" in server.err()
    rows = dict(re.findall(r"^\| (.+?) +\| (.*?) *\|$", server.out(), re.M))
    assert list(rows) == ["Server directory", "Server UID", "Client host", "Client port", "Worker host", "Worker port", "Version", "Pid",
                          "Start date", "Journal path"]
    assert rows["Server directory"] == str(directory)
    assert re.fullmatch(r"[A-Za-z0-9]{6}", rows["Server UID"])
    assert int(rows["Pid"]) == server.pid
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", rows["Start date"])
    assert int(rows["Client port"]) == world.access()["client"]["port"]


def test_row03_submit_prints_the_id(server):
    server.script("my-computation", "true\n")
    assert server.hq("submit", "./my-computation").out == "Job submitted successfully, job ID: 1\n"


def test_row04_job_list(server):
    server.script("my-computation", "true\n")
    server.hq("submit", "./my-computation")
    lines = server.hq("job", "list").out.splitlines()
    assert lines[1] == "| ID | Name           | State   | Tasks |"
    assert lines[3] == "|  1 | my-computation | WAITING | 1     |"
    server.start_worker()
    server.wait_job(1)
    assert "| FINISHED |" in server.hq("job", "list", "--all").out
    gate = server.work / "gate"
    os.mkfifo(gate)
    server.submit("sh", "-c", f"read x <{gate}")
    wait_until(lambda: "| RUNNING |" in server.hq("job", "list").out, "job 2 RUNNING")
    gate.write_text("go\n")
    server.wait_job(2)


def test_row05_worker_start_runs_what_waits(server):
    job = server.submit("true")
    assert server.stats(job)["waiting"] == 1
    server.start_worker()
    assert server.wait_job(job)["finished"] == 1


def test_row07_worker_list(cluster):
    lines = cluster.hq("worker", "list").out.splitlines()
    assert re.split(r" *\| *", lines[1].strip("| ")) == ["ID", "State", "Hostname", "Resources", "Manager", "Manager Job ID"]
    cells = re.split(r" *\| *", lines[3].strip("| "))
    assert cells[0] == "1" and cells[1] == "RUNNING" and cells[3].startswith("cpus 2") and cells[4:] == ["None", "N/A"]


def test_row08_array(cluster):
    job = cluster.submit("--array=1-1_000", "--stdout=none", "--stderr=none", "true")
    assert cluster.wait_job(job, timeout=50)["finished"] == 1000
    assert cluster.hq("job", "task-ids", job).out == "1-1000\n"
    large = cluster.submit("--array=1-1000_000", "--stdout=none", "--stderr=none", "true")
    assert cluster.jobs()[large]["task_count"] == 1000000
    cluster.hq("job", "cancel", large)
    assert cluster.wait_job(large)["waiting"] == 0


def test_row09_progress(cluster):
    job = cluster.submit("--array=1-20", "sh", "-c", "test $HQ_TASK_ID != 7")
    shown = cluster.hq("progress", job, check=False).out  # the old spelling has the old status: one task failed
    last = re.split(r"[\r\n]+", shown.strip())[-1]
    assert re.search(r"\[#{40}\] 1/1 jobs, 20/20 tasks", last), shown
    assert "19 FINISHED" in last and "1 FAILED" in last


def test_row10_each_line(cluster):
    (cluster.work / "myfile.txt").write_text("first line\nsecond\n\nlast without newline")
    job = cluster.submit("--each-line=myfile.txt", "sh", "-c", 'printf %s "$HQ_ENTRY"')
    assert cluster.wait_job(job)["finished"] == 4
    entries = [cluster.read(f"job-{job}/{task}.stdout") for task in range(4)]
    assert entries == ["first line", "second", "", "last without newline"]


def test_row11_from_json(cluster):
    items = [1, "two", {"z": 1, "a": [True, None]}, 0.1]
    (cluster.work / "items.json").write_text(json.dumps(items))
    job = cluster.submit("--from-json=items.json", "sh", "-c", 'printf %s "$HQ_ENTRY"')
    assert cluster.wait_job(job)["finished"] == 4
    entries = [cluster.read(f"job-{job}/{task}.stdout") for task in range(4)]
    assert entries == ["1", '"two"', '{"a":[true,null],"z":1}', "0.1"]


def test_row12_cpus_are_exclusive(server):
    server.start_worker("--cpus=4")
    gate = server.work / "gate"
    gate.mkdir()
    job = server.submit("--array=1-4", "--cpus=2", "sh", "-c",
                        f"echo $HQ_CPUS; touch {gate}/$HQ_TASK_ID; while [ ! -e {gate}/open ]; do sleep 0.02; done")
    wait_until(lambda: server.stats(job)["running"] == 2, "two of four tasks running")
    assert len(list(gate.iterdir())) == 2 and server.stats(job)["waiting"] == 2
    held = [cpu for task in (1, 2) for cpu in server.read(f"job-{job}/{task}.stdout").strip().split(",")]
    assert sorted(held) == ["0", "1", "2", "3"]
    (gate / "open").touch()
    assert server.wait_job(job)["finished"] == 4
    too_large = server.submit("--cpus=8", "true")
    after = server.submit("--wait", "true")  # others pass it
    assert server.stats(after)["finished"] == 1 and server.stats(too_large)["waiting"] == 1
    server.start_worker("--cpus=8")
    assert server.wait_job(too_large)["finished"] == 1


def test_row18_time_limit(cluster):
    job = cluster.submit("--time-limit=1s", "sleep", "1000")
    assert cluster.wait_job(job)["failed"] == 1
    assert cluster.task(job)["error"] == "Time limit reached"
    generous = cluster.submit("--time-limit=1h", "--wait", "true")
    assert cluster.stats(generous)["finished"] == 1


def test_row21_output_files(cluster):
    job = cluster.submit("--array", "1-4", "--wait", "sh", "-c", "echo out $HQ_TASK_ID; echo err $HQ_TASK_ID >&2")
    names = sorted(os.listdir(cluster.work / f"job-{job}"))
    assert names == [f"{task}.{stream}" for task in range(1, 5) for stream in ("stderr", "stdout")]
    assert cluster.read(f"job-{job}/3.stdout") == "out 3\n"
    assert cluster.read(f"job-{job}/3.stderr") == "err 3\n"


@pytest.mark.parametrize("manager_variable", ["SLURM_JOB_ID", "PBS_ENVIRONMENT"])
def test_row29_works_on_a_laptop(server, manager_variable):
    """No batch system: its variables are unset and its programs are not needed."""
    assert manager_variable not in server.env
    server.start_worker("--manager=none")
    job = server.submit("--wait", "true")
    assert server.stats(job)["finished"] == 1
    server.worker = None
    server.hq("server", "stop")
    wait_until(lambda: not server.server.running(), "the end of the server")
    assert server.server.process.returncode == 0


def test_row29_end_by_ctrl_c(cluster):
    """What a person at a laptop does at last."""
    cluster.worker.signal(signal.SIGINT)
    assert cluster.worker.wait() == 0
    cluster.server.signal(signal.SIGINT)
    assert cluster.server.wait() == 0


SBATCH = """#!/bin/sh
# The smallest batch system there can be: a job runs at once, on this machine.
for script; do :; done
SLURM_JOB_ID=4711 setsid sh "$script" >"%(work)s/alloc.log" 2>&1 &
echo $! >"%(work)s/alloc.pid"
echo "Submitted batch job 4711"
"""
STATE = "#!/bin/sh\nkill -0 $(cat %(work)s/alloc.pid) 2>/dev/null && echo '%(line)s'\nexit 0\n"


def test_row06_allocation(server):
    """Without a worker the job waits; a node comes from the batch system, and it runs there."""
    for name, text in (("sbatch", SBATCH), ("squeue", STATE), ("sacct", STATE), ("scontrol", STATE), ("scancel", "#!/bin/sh\nkill -TERM -$(cat %(work)s/alloc.pid)\n")):
        path = server.tmp / name
        path.write_text(text % {"work": server.work, "line": "4711|RUNNING|"})
        path.chmod(0o755)
    server.hq("server", "stop")
    server.env["PATH"] = f"{server.tmp}:{server.env['PATH']}"
    server.start_server("--journal", server.work / "j.bin")
    job = server.submit("true")
    added = server.hq("alloc", "add", "slurm", "--no-dry-run", "--timelimit=1h", "--", "-pstandard")
    assert "INFO Allocation queue 1 successfully created" in added.err
    assert server.wait_job(job)["finished"] == 1
    assert "| SLURM   | 4711 " in server.hq("worker", "list").out
    assert "#SBATCH -pstandard" in next((server.instance_dir() / "autoalloc").rglob("hq-submit.sh")).read_text()


def test_row15_detection(server):
    """CPUs by NUMA node, memory, and GPUs by the variables of their vendors."""
    server.daemon("worker", [server.bin / "hq", "worker", "start"], env={"CUDA_VISIBLE_DEVICES": "0,1", "ROCR_VISIBLE_DEVICES": "GPU-a"})
    wait_until(server.running_workers, "the worker")
    resources = {item["name"]: item for item in server.json("worker", "info", "1")[0]["configuration"]["resources"]["resources"]}
    assert sorted(resources) == ["cpus", "gpus/amd", "gpus/nvidia", "mem"]
    groups = resources["cpus"].get("groups") or [resources["cpus"].get("values")]
    assert sorted(int(cpu) for group in groups for cpu in group) == sorted(os.sched_getaffinity(0))
    assert resources["gpus/nvidia"]["values"] == ["0", "1"] and resources["gpus/amd"]["values"] == ["GPU-a"]
    with open("/proc/meminfo", encoding="ascii") as file:
        total = int(next(line for line in file if line.startswith("MemTotal:")).split()[1])
    assert resources["mem"]["kind"] == "sum" and 0 < resources["mem"]["size"] <= total * 10000 / 1024 + 1


def test_row16_policies(server):
    """Few NUMA nodes; few or wait; spread over all."""
    server.start_worker("--cpus=4x4", "--detect-resources=none")
    nodes = lambda job: {int(cpu) // 4 for cpu in server.read(f"job-{job}/0.stdout").strip().split(",")}
    run = lambda request: nodes(server.submit("--wait", f"--cpus={request}", "sh", "-c", "echo $HQ_CPUS"))
    assert len(run("4 compact")) == 1 and len(run("4 compact!")) == 1 and run("8 scatter") == {0, 1, 2, 3}
    gate = server.work / "gate"
    hold = [server.submit("--cpus=3 compact!", "sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.02; done") for _ in range(4)]  # one cpu of each node is left
    for job in hold:
        server.wait_task(job, 0, "running")
    strict = server.submit("--cpus=2 compact!", "true")
    assert len(run("2 compact")) == 2 and server.stats(strict)["waiting"] == 1
    gate.touch()
    assert server.wait_job(strict)["finished"] == 1


def test_row19_two_tasks_share_a_gpu(server):
    server.start_worker("--cpus=4", "--detect-resources=none", "--resource=gpus/nvidia=[7]")
    gate = server.work / "gate"
    job = server.submit("--array=1-3", "--resource=gpus/nvidia=0.5", "sh", "-c", f"echo $CUDA_VISIBLE_DEVICES; while [ ! -e {gate} ]; do sleep 0.02; done")
    wait_until(lambda: server.stats(job)["running"] == 2, "two at once")
    assert server.stats(job)["waiting"] == 1
    gate.touch()
    assert server.wait_job(job)["finished"] == 3
    assert [server.read(f"job-{job}/{task}.stdout") for task in (1, 2, 3)] == ["7\n"] * 3
