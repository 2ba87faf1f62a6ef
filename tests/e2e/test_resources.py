"""What a task asks for and what it sees of it: values, variables, older names, pinning, policies, variants, coupling."""
import json
import os
import pathlib
import subprocess

import pytest

from harness import wait_until

NOTHING = ["--detect-resources=none"]


def seen(world, job, task=0):
    """The task's variables; it printed them with `env -0`."""
    text = world.read(f"job-{job}/{task}.stdout")
    return dict(line.split("=", 1) for line in text.split("\0") if "=" in line)


def held(world, job, task):
    path = world.work / f"job-{job}" / f"{task}.stdout"
    return wait_until(lambda: path.exists() and path.read_text().endswith("\n") and path.read_text().split(), "a task's values")


def test_row13_named_values(server):
    server.start_worker(*NOTHING, "--resource=foo=[5,6,7,8]")
    gate = server.work / "gate"
    job = server.submit("--array=1-2", "--resource=foo=2", "sh", "-c",
                        f"echo $HQ_RESOURCE_foo $HQ_RESOURCE_VALUES_foo; while [ ! -e {gate} ]; do sleep 0.02; done")
    first, second = held(server, job, 1), held(server, job, 2)
    assert first[0] == first[1] and second[0] == second[1]
    assert sorted(first[0].split(",") + second[0].split(",")) == ["5", "6", "7", "8"]
    gate.touch()
    assert server.wait_job(job)["finished"] == 2


def test_row14_gpus(server):
    server.start_worker(*NOTHING, "--resource=gpus/nvidia=[0,1,2,3,4,5]", "--resource=gpus/amd=[GPU-a,GPU-b]", env={"CUDA_VISIBLE_DEVICES": "99"})
    job = server.submit("--wait", "--resource=gpus/nvidia=4", "--resource=gpus/amd=0.5", "--env=CUDA_VISIBLE_DEVICES=77",
                        "--env=ROCR_VISIBLE_DEVICES=77", "env", "-0")
    env = seen(server, job)
    four = env["CUDA_VISIBLE_DEVICES"]
    assert len(set(four.split(","))) == 4 and set(four.split(",")) <= set("012345")
    assert env["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    for name in ("HQ_RESOURCE_gpus/nvidia", "HQ_RESOURCE_gpus_nvidia", "HQ_RESOURCE_VALUES_gpus_nvidia"):
        assert env[name] == four
    assert env["HQ_RESOURCE_REQUEST_gpus_nvidia"] == "4 compact"
    assert env["ROCR_VISIBLE_DEVICES"] in ("GPU-a", "GPU-b")
    assert env["HQ_RESOURCE_gpus/amd"] == env["HQ_RESOURCE_VALUES_gpus_amd"] == env["ROCR_VISIBLE_DEVICES"]
    assert env["HQ_RESOURCE_REQUEST_gpus_amd"] == "0.5 compact"
    assert "HQ_RESOURCE_VARIANT" not in env and not any(name.startswith("HQ_RESOURCE_INDICES") for name in env)


def test_fractions_all_and_sums(server):
    server.start_worker(*NOTHING, "--cpus=[[3,4],[8,9]]", "--resource=mem=sum(100.5)", "--resource=gpus/nvidia=[a,b]")
    rows = [
        (["--cpus=all"], {"HQ_CPUS": "3,4,8,9", "OMP_NUM_THREADS": "4", "HQ_RESOURCE_REQUEST_cpus": "all"}),
        (["--cpus=1.5"], {"HQ_CPUS": "4,3", "OMP_NUM_THREADS": None, "HQ_RESOURCE_REQUEST_cpus": "1.5 compact"}),
        (["--cpus=2 scatter"], {"HQ_CPUS": "4,9", "HQ_RESOURCE_REQUEST_cpus": "2 scatter"}),
        (["--cpus=3 tight!"], {"HQ_CPUS": "9,8,4", "HQ_RESOURCE_REQUEST_cpus": "3 tight!"}),
        (["--resource=mem=50.25"], {"HQ_RESOURCE_REQUEST_mem": "50.25 compact", "HQ_RESOURCE_VALUES_mem": None, "HQ_RESOURCE_mem": None}),
        (["--resource=gpus/nvidia=all"], {"CUDA_VISIBLE_DEVICES": "b,a", "HQ_RESOURCE_REQUEST_gpus_nvidia": "all"}),
        (["--cpus=2", "--env=OMP_NUM_THREADS=7"], {"OMP_NUM_THREADS": "7", "HQ_CPUS": "3,4"}),
    ]
    for options, expected in rows:
        env = seen(server, server.submit("--wait", *options, "env", "-0"))
        assert {name: env.get(name) for name in expected} == expected, options


@pytest.mark.parametrize("option", ["--pin", "--pin=taskset"])
def test_row17_bound_to_its_cpus(server, option):
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        pytest.skip("one cpu only")
    server.start_worker(*NOTHING, f"--cpus=[{cpus[0]},{cpus[1]}]")
    job = server.submit("--wait", option, "--cpus=1", "sh", "-c", "echo $HQ_CPUS $HQ_PIN; grep Cpus_allowed_list /proc/self/status")
    cpu, word, _, bound = server.read(f"job-{job}/0.stdout").split()
    assert cpu == bound and word == "taskset"


def test_pin_omp(server):
    server.start_worker(*NOTHING, "--cpus=[0,1]")
    env = seen(server, server.submit("--wait", "--pin=omp", "--cpus=2", "env", "-0"))
    assert env["HQ_PIN"] == "omp" and env["OMP_PLACES"] == "{1,0}" and env["OMP_PROC_BIND"] == "close"
    env = seen(server, server.submit("--wait", "--pin=omp", "--env=OMP_PLACES=cores", "env", "-0"))
    assert env["OMP_PLACES"] == "cores" and env["OMP_PROC_BIND"] == "close"


def test_variants(server):
    """Both variants run side by side, each with its number; the mix that uses most wins (the manual's 4 + 3)."""
    (server.work / "job.toml").write_text("""
        [array]
        ids = "1-7"
        command = ["sh", "-c", 'echo "$HQ_RESOURCE_VARIANT $HQ_CPUS ${CUDA_VISIBLE_DEVICES:-none}"; while [ ! -e gate ]; do sleep 0.02; done']
        [[array.request]]
        resources = {cpus = 1, "gpus/nvidia" = 1}
        [[array.request]]
        resources = {cpus = 4}
        """)
    server.start_worker(*NOTHING, "--cpus=16", "--resource=gpus/nvidia=[0,1,2,3]")
    job = int(server.quiet("job", "submit-file", "job.toml").split()[-1])
    wait_until(lambda: server.stats(job)["running"] == 7, "all seven at once")
    rows = [held(server, job, task) for task in range(1, 8)]
    assert sorted(row[0] for row in rows) == ["0"] * 4 + ["1"] * 3
    assert sorted(row[2] for row in rows if row[0] == "0") == ["0", "1", "2", "3"]
    assert all(row[2] == "none" for row in rows if row[0] == "1")
    cpus = [cpu for row in rows for cpu in row[1].split(",")]
    assert len(cpus) == len(set(cpus)) == 16
    (server.work / "gate").touch()
    assert server.wait_job(job)["finished"] == 7


@pytest.mark.parametrize("weights, variant", [((1.0, 5.0), "1"), ((5.0, 1.0), "0")])
def test_weights_steer_variants(server, weights, variant):
    (server.work / "job.toml").write_text(f"""
        [[task]]
        command = ["sh", "-c", 'echo $HQ_RESOURCE_VARIANT']
        stdout = "variant"
        [[task.request]]
        resources = {{cpus = 2}}
        weight = {weights[0]}
        [[task.request]]
        resources = {{cpus = 3}}
        weight = {weights[1]}
        """)
    server.start_worker(*NOTHING, "--cpus=4")
    job = int(server.quiet("job", "submit-file", "job.toml").split()[-1])
    assert server.wait_job(job)["finished"] == 1
    assert server.read("variant").strip() == variant


def test_coupling_keeps_pairs_together(server):
    """The GPU's node is where the cpus come from, though a lower node is free too."""
    worker = server.start_worker(*NOTHING, "--cpus=[[0,1,2,3],[4,5,6,7]]", "--resource=gpus/nvidia=[[a,b],[c,d]]",
                                 "--coupling=cpus[0]:gpus/nvidia[0],cpus[1]:gpus/nvidia[1]")
    assert "[coupled]" in worker.out()
    gate = server.work / "gate"
    hold = server.submit("--resource=gpus/nvidia=2", "sh", "-c", f"echo $CUDA_VISIBLE_DEVICES; while [ ! -e {gate} ]; do sleep 0.02; done")
    assert held(server, hold, 0) == ["a,b"]
    job = server.submit("--wait", "--cpus=2", "--resource=gpus/nvidia=2", "sh", "-c", "echo $HQ_CPUS $CUDA_VISIBLE_DEVICES")
    assert server.read(f"job-{job}/0.stdout").split() == ["6,7", "c,d"]
    gate.touch()
    server.wait_job(hold)


def test_strict_policy_waits_for_its_group(server):
    """Two running "3 compact!" leave [1,1]: "2 compact" runs, "2 compact!" waits until one ends."""
    server.start_worker(*NOTHING, "--cpus=2x4")
    gates = [server.work / f"gate{i}" for i in range(2)]
    large = [server.submit("--cpus=3 compact!", "sh", "-c", f"echo $HQ_CPUS; while [ ! -e {gate} ]; do sleep 0.02; done") for gate in gates]
    assert [held(server, job, 0) for job in large] == [["1,2,3"], ["5,6,7"]]
    strict = server.submit("--cpus=2 compact!", "sh", "-c", "echo $HQ_CPUS")
    loose = server.submit("--wait", "--cpus=2 compact", "sh", "-c", "echo $HQ_CPUS")
    assert server.read(f"job-{loose}/0.stdout").strip() == "0,4"
    assert server.task(strict)["state"] == "waiting"
    gates[1].touch()
    assert server.wait_job(strict)["finished"] == 1
    assert server.read(f"job-{strict}/0.stdout").strip() == "6,7"
    gates[0].touch()
    assert server.wait_job(large[0])["finished"] == 1


def test_affinity_limits_detection(world):
    """What the process may not use is not offered, and the log says so."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        pytest.skip("one cpu only")
    done = subprocess.run([world.bin / "hq", "worker", "hwdetect"], env=world.env, capture_output=True, text=True, check=True,
                          preexec_fn=lambda: os.sched_setaffinity(0, {cpus[-1]}))
    assert f"\ncpus: [{cpus[-1]}]\n" in done.stdout and done.stdout.startswith("Summary:\ncpus: 1\n")
    assert "Some cores were filtered by a CPU mask. All cores: " in done.stderr


def test_hwdetect_of_another_machine(world):
    """Eight GPUs on four nodes, by a file: groups, threads, PCI classes, memory, as text and as JSON."""
    machine = pathlib.Path(__file__).resolve().parents[1] / "data" / "topologies" / "4n4c2t-8gpu.xml"
    env = {"HWLOC_XMLFILE": str(machine), "HWLOC_THISSYSTEM": "0"}
    assert world.hq("worker", "hwdetect", "--no-hyper-threading", env=env).out == (
        "Summary:\ncpus: 4x4\ngpus/nvidia: 8\ngpus/amd: 1\nmem: 4.00 GiB\n\nFull Description:\n"
        "cpus: [[0,2,4,6],[8,10,12,14],[16,18,20,22],[24,26,28,30]]\ngpus/nvidia: range(0-7)\ngpus/amd: [0]\nmem: sum(4096)\n")
    names = [pool["name"] for pool in world.json("worker", "hwdetect", env=env)["resources"]]
    assert names == ["cpus", "gpus/nvidia", "gpus/amd", "mem"]
    only = world.hq("worker", "hwdetect", env={**env, "CUDA_VISIBLE_DEVICES": "2,5", "ROCR_VISIBLE_DEVICES": ""}).out
    assert "gpus/nvidia: [2,5]\n" in only and "gpus/amd" not in only


def test_gpu_readings(world):
    """Both tools are asked while their GPUs are there, however they came to be known."""
    world.script("nvidia-smi", "echo '0000:07:00.0, 10 %, 100 MiB, 200 MiB'; echo '0000:08:00.0, 0 %, 0 MiB, 200 MiB'\n")
    world.script("rocm-smi", """echo '{"card0": {"PCI Bus": "0000:C1:00.0", "GPU use (%)": "7", "GPU memory use (%)": "25"}}'\n""")
    world.start_server("--journal=j.bin")
    world.start_worker(*NOTHING, "--resource=gpus/nvidia=[0,1]", "--resource=gpus/amd=[0]", "--overview-interval=100ms",
                       env={"PATH": f"{world.work}:{world.env['PATH']}"})

    def readings():
        world.hq("journal", "flush")
        for line in world.hq("journal", "export", "j.bin").out.splitlines():
            event = json.loads(line)["event"]
            if event["type"] == "worker-overview" and event["hw-state"]["state"]["nvidia_gpus"] and event["hw-state"]["state"]["amd_gpus"]:
                return event["hw-state"]["state"]
        return None

    state = wait_until(readings, "readings of both kinds")
    assert [(gpu["id"], gpu["processor_usage"], gpu["mem_usage"]) for gpu in state["nvidia_gpus"]["gpus"]] == [
        ("0000:07:00.0", 10.0, 50.0), ("0000:08:00.0", 0.0, 0.0)]
    assert [(gpu["id"], gpu["processor_usage"], gpu["mem_usage"]) for gpu in state["amd_gpus"]["gpus"]] == [("0000:C1:00.0", 7.0, 25.0)]
    assert len(state["cpu_usage"]["cpu_per_core_percent_usage"]) == os.cpu_count()
