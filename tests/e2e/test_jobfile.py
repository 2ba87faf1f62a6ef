"""hq job submit-file: TOML and YAML, arrays, graphs, and what is refused."""
import json
import textwrap

import pytest


def write(world, name, text):
    path = world.work / name
    path.write_text(textwrap.dedent(text))
    return path


def submit_file(world, name, *args, **more):
    return int(world.quiet("job", "submit-file", name, *args, **more).split()[-1])


def test_every_key_reaches_the_task(cluster):
    write(cluster, "job.toml", """\
        name = "all of it"
        max_fails = 3
        [[task]]
        id = 7
        command = ["sh", "-c", 'cat; echo "$A $HQ_TASK_ID $HQ_PIN $PWD"; test -d "$HQ_TASK_DIR"']
        env = {A = "x y"}
        cwd = "sub/%{JOB_ID}"
        stdout = "out-%{TASK_ID}:log"
        stderr = {path = "err-%{TASK_ID}", on_close = "rm-if-finished"}
        stdin = "from the file\\n"
        pin = "taskset"
        task_dir = true
        time_limit = "1m 30s"
        priority = -4
        crash_limit = 2
        [[task.request]]
        resources = {cpus = 2}
        time_request = "10s"
        weight = 1.5
        [[task.request]]
        resources = {cpus = "1 scatter"}
        """)
    job = submit_file(cluster, "job.toml", "--wait")
    place = cluster.work / "sub" / str(job)
    assert (place / "out-7:log").read_text() == f"from the file\nx y 7 taskset {place}\n"
    assert not (place / "err-7").exists()
    table = cluster.hq("task", "info", job, 7).out
    for part in ("1m 30s", "| -4", "cpus: 2 compact", "[weight: 1.5]", "cpus: 1 scatter", "Crash limit  | 2"):
        assert part in table, table
    assert cluster.jobs()[job]["name"] == "all of it"
    assert cluster.json("job", "info", job)[0]["max_fails"] == 3


@pytest.mark.parametrize("array, ids, entries", [
    ('ids = "2-6:2"', [2, 4, 6], ["", "", ""]),
    ('entries = ["a", "b c", ""]', [0, 1, 2], ["a", "b c", ""]),
    ('ids = "9,3"\nentries = ["first", "second"]', [9, 3], ["first", "second"]),
])
def test_arrays(cluster, array, ids, entries):
    (cluster.work / "job.toml").write_text(f"""[array]\n{array}\ncommand = ["sh", "-c", 'echo "$HQ_ENTRY"']\n""")
    job = submit_file(cluster, "job.toml", "--wait")
    assert {task: cluster.read(f"job-{job}/{task}.stdout") for task in cluster.tasks(job)} == {
        task: entry + "\n" for task, entry in zip(ids, entries)}
    assert cluster.jobs()[job]["name"] == "sh"


def test_yaml_says_the_same(cluster):
    write(cluster, "job.yaml", """\
        name: in yaml
        task:
          - id: 1
            command: [sh, -c, "echo $A; exit 3"]
            env: {A: "12"}
          - command: ["true"]
            deps: [1]
            request:
              - resources: {cpus: 1}
        """)
    job = submit_file(cluster, "job.yaml")
    assert cluster.wait_job(job) == {"waiting": 0, "running": 0, "finished": 0, "failed": 1, "canceled": 0, "aborted": 1}
    assert cluster.read(f"job-{job}/1.stdout") == "12\n" and sorted(cluster.tasks(job)) == [1, 2]


def test_dependencies_decide_the_order(cluster):
    tasks = ['[[task]]\nid = 0\ndeps = [3, 2]\ncommand = ["sh", "-c", "cat 2 3 > 0"]\n']
    tasks += [f'[[task]]\nid = {n}\ndeps = [1]\ncommand = ["sh", "-c", "cat 1 > {n}; echo {n} >> {n}"]\n' for n in (2, 3)]
    tasks += ['[[task]]\nid = 1\ncommand = ["sh", "-c", "echo 1 > 1"]\n']
    (cluster.work / "job.toml").write_text("".join(tasks))
    job = submit_file(cluster, "job.toml", "--wait")
    assert cluster.read("0") == "1\n2\n1\n3\n"
    assert "| Dependencies | 3,2 " in cluster.hq("task", "info", job, 0).out


def test_failure_and_cancel_reach_what_depends(cluster):
    write(cluster, "fail.toml", """\
        [[task]]
        id = 1
        command = ["false"]
        [[task]]
        id = 2
        command = ["true"]
        deps = [1]
        [[task]]
        id = 3
        command = ["true"]
        deps = [2]
        [[task]]
        id = 4
        command = ["true"]
        """)
    job = submit_file(cluster, "fail.toml")
    cluster.wait_job(job)
    assert {task: info["state"] for task, info in cluster.tasks(job).items()} == {1: "failed", 2: "aborted", 3: "aborted", 4: "finished"}


def test_stdin_of_each_task_is_its_own(cluster):
    parts = [f'[[task]]\ncommand = ["cat"]\nstdin = "{"x" * size}{size}"\n' for size in (0, 1, 70000)]
    (cluster.work / "job.toml").write_text("".join(parts))
    job = submit_file(cluster, "job.toml", "--wait")
    assert [cluster.read(f"job-{job}/{task}.stdout") for task in (1, 2, 3)] == ["0", "x1", "x" * 70000 + "70000"]


def test_open_job_continues_after_the_highest_id(cluster):
    job = int(cluster.quiet("job", "open"))
    (cluster.work / "a.toml").write_text('[[task]]\nid = 5\ncommand = ["true"]\n')
    (cluster.work / "b.toml").write_text('[[task]]\ncommand = ["true"]\ndeps = [5]\n[[task]]\ncommand = ["true"]\n')
    (cluster.work / "c.toml").write_text('[array]\nentries = ["x", "y"]\ncommand = ["true"]\n')
    for name in ("a.toml", "b.toml", "c.toml"):
        assert submit_file(cluster, name, f"--job={job}") == job
    assert sorted(cluster.tasks(job)) == [5, 6, 7, 8, 9]
    again = cluster.hq("job", "submit-file", "a.toml", f"--job={job}", check=False)
    assert again.status == 1 and f"Task 5 already exists in job {job}." in again.err
    cluster.hq("job", "close", job)
    assert cluster.wait_job(job)["finished"] == 5


@pytest.mark.parametrize("name, text, part", [
    ("a.toml", "", "No tasks defined"),
    ("a.toml", 'tusk = 1\n', "line 1, column 1"),
    ("a.toml", '[[task]]\ncommand = ["x"]\nbad = 1\n', "line 3, column 1"),
    ("a.toml", '[[task]]\ncommand = ["x"]\nid = "1"\n', "line 3"),
    ("a.toml", '[[task]]\nid = 1\n', "command"),
    ("a.toml", '[[task]]\ncommand = []\n', "command"),
    ("a.toml", '[[task]\ncommand = ["x"]\n', "TOML parse error at line 1"),
    ("a.toml", '[[task]]\ncommand = ["x"]\n[array]\nids = "1"\ncommand = ["x"]\n', "cannot be mixed"),
    ("a.toml", '[array]\ncommand = ["x"]\n', "One of attributes of array must be defined"),
    ("a.toml", '[array]\nids = "1-3"\nentries = ["a"]\ncommand = ["x"]\n', "Items 'ids' and 'entries' does not match"),
    ("a.toml", '[[task]]\nid = 1\ncommand = ["x"]\n' * 2, "Task 1 is defined multiple times"),
    ("a.toml", '[[task]]\nid = 1\ncommand = ["x"]\ndeps = [1]\n', "dependency cycle"),
    ("a.toml", '[[task]]\nid = 1\ncommand = ["x"]\ndeps = [9]\n', "invalid dependencies"),
    ("a.toml", '[[task]]\ncommand = ["x"]\n[[task.request]]\nresources = {cpus = 0}\n', "line 4"),
    ("a.toml", '[[task]]\ncommand = ["x"]\n[[task.request]]\nresources = {gpus = -1}\n', "line 4"),
    ("a.toml", 'name = "a\\tb"\n[[task]]\ncommand = ["x"]\n', "name cannot have a newline or a tab"),
    ("a.yaml", "task: [\n", "YAML"),
    ("a.yaml", "task:\n  - command: x\n", "line 2"),
    ("a.yaml", "a: &x [*x]\n", "line 1"),
    ("a.toml", b"\xff\xfe\n", "line 1"),
    ("a.toml", b'name = "\0"\n', "line 1"),
])
def test_refused(server, name, text, part):
    (server.work / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    refused = server.hq("job", "submit-file", name, check=False)
    assert refused.status == 1 and refused.out == "" and part in refused.err, repr(refused)
    assert server.json("job", "list", "--all") == []


def test_cycle_is_told_with_its_path(server):
    (server.work / "c.toml").write_text("".join(f'[[task]]\nid = {n}\ncommand = ["x"]\ndeps = [{n % 3 + 1}]\n' for n in (1, 2, 3)))
    refused = server.hq("job", "submit-file", "c.toml", check=False)
    assert refused.status == 1
    steps = [int(word) for word in refused.err.replace("->", " ").replace(".", " ").replace(")", " ").replace("(", " ").split() if word.isdigit()]
    assert steps.count(1) >= 1 and steps.count(2) >= 1 and steps.count(3) >= 1, refused.err


def test_missing_file(server):
    refused = server.hq("job", "submit-file", "nowhere.toml", check=False)
    assert refused.status == 1 and "Cannot read nowhere.toml: No such file or directory" in refused.err


def test_windows_line_ends_and_no_last_newline(cluster):
    (cluster.work / "w.toml").write_bytes(b'[[task]]\r\ncommand = ["sh", "-c", "echo ok"]')
    job = submit_file(cluster, "w.toml", "--wait")
    assert cluster.read(f"job-{job}/1.stdout") == "ok\n"


def test_output_of_three_modes(server):
    (server.work / "a.toml").write_text('[[task]]\ncommand = ["true"]\n')
    assert server.hq("job", "submit-file", "a.toml").out == "Job submitted successfully, job ID: 1\n"
    assert json.loads(server.hq("--output-mode=json", "job", "submit-file", "a.toml").out) == {"id": 2}
    assert server.quiet("job", "submit-file", "a.toml") == "3\n"
