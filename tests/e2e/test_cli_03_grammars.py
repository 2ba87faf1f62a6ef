"""Section 3 of the command line: numbers, ranges, selectors, durations, amounts and the small grammars, by what a user sees of them."""
import pytest

from harness import wait_until


def usage_error(world, *args):
    failed = world.hq(*args, check=False)
    assert failed.status == 2 and failed.out == "" and failed.err.startswith("error: "), failed
    return failed.err


# ---- 3.1 numbers
@pytest.mark.parametrize("args, check", [
    (["--priority=1_0"], lambda info: info["submits"][0]["array"]["priority"] == 10),
    (["--max-fails=1_0"], lambda info: info["max_fails"] == 10),
    (["--nodes=1_0"], lambda info: info["submits"][0]["array"]["resources"][0]["n_nodes"] == 10),
    (["--array=1_000-1___002"], lambda info: [task["id"] for task in info["tasks"]] == [1000, 1001, 1002]),
    (["--array=7_"], lambda info: [task["id"] for task in info["tasks"]] == [7]),
    (["--priority", "-5"], lambda info: info["submits"][0]["array"]["priority"] == -5),
    (["--priority=-5"], lambda info: info["submits"][0]["array"]["priority"] == -5),
])
def test_numbers(server, args, check):
    """`_` parts digits everywhere; a negative number may follow its option as a word (the reference wants it glued)."""
    job = server.submit(*args, "true")
    assert check(server.json("job", "info", job)[0])


@pytest.mark.parametrize("args", [["--array=_1"], ["--array=+1"], ["--array=4294967296"], ["--array=1.5"], ["--job=-1"], ["--nodes=x"],
                                  ["--max-fails=4294967296"], ["--priority=2147483648"], ["--priority=-2147483649"]])
def test_bad_numbers(world, args):
    assert args[0].split("=")[0] in usage_error(world, "submit", *args, "true")


# ---- 3.2 ranges
@pytest.mark.parametrize("ranges, ids, shown", [
    ("0-10:2", [0, 2, 4, 6, 8, 10], "0-10:2"),
    ("9,1-3", [1, 2, 3, 9], "9,1-3"),
    ("0-10:2,1-9:2", list(range(11)), "0-10:2,1-9:2"),
    (" 1 , 4-5 ", [1, 4, 5], "1,4-5"),
    ("5-5", [5], "5"),
    ("1-6:2", [1, 3, 5], "1-5:2"),
    ("0,4294967295", [0, 4294967295], "0,4294967295"),
])
def test_ranges(server, ranges, ids, shown):
    job = server.submit(f"--array={ranges}", "true")
    assert sorted(server.tasks(job)) == ids
    assert f"| {len(ids)}; Ids: {shown} " in server.hq("job", "info", job).out


@pytest.mark.parametrize("ranges, part", [
    ("3-1", "Invalid range"), ("5-5:1", "--array"), ("1-3:5", "--array"), ("1-3:0", "--array"), ("5:2", "Invalid range"),
    ("0-10,5", "Ranges overlap"), ("0-10:2,1-9:2,4", "Ranges overlap"), ("1,", "--array"), ("", "--array"), ("a", "Unexpected token `a`"),
    ("1--2", "--array"), ("1-2-3", "--array"), (",1", "--array"), ("1;2", "--- Unexpected token `;`"),
])
def test_bad_ranges(world, ranges, part):
    assert part in usage_error(world, "submit", f"--array={ranges}", "true")


def test_error_marks_the_place(world):
    assert usage_error(world, "job", "info", "12-x") == (
        "error: invalid value '12-x' for '<SELECTOR>': Unexpected token found while attempting to parse number, expected something else:\n"
        "  12-x\n     |\n     --- Unexpected token `x`\n\n\nFor more information, try '--help'.\n")


def test_a_stepped_range_counts_its_ids(server):
    """1-1200:3 are 400 ids and 800 files: under the bound of the warning (the reference counts 1,200)."""
    assert "will create" not in server.hq("submit", "--array=1-1200:3", "true").err
    assert "The job will create 1200 files" in server.hq("submit", "--array=1-1800:3", "true").err
    (server.work / "s.toml").write_text('[array]\nids = "1-9:4"\nentries = ["a", "b", "c"]\ncommand = ["true"]\n')
    job = int(server.quiet("job", "submit-file", "s.toml"))
    assert sorted(server.tasks(job)) == [1, 5, 9]


# ---- 3.3 selectors
def test_selectors_of_jobs(server):
    assert server.json("job", "info", "last") == [] and server.json("job", "info", "all") == []
    for _ in range(4):
        server.submit("true")
    ids = lambda selector: [info["info"]["id"] for info in server.json("job", "info", selector)]
    assert ids("last") == [4] and ids("all") == [1, 2, 3, 4] and ids("1-4:3") == [1, 4] and ids("1_0,2") == [2]
    assert ids("3,1-2") == [3, 1, 2]  # in the order asked
    server.hq("job", "cancel", "4")
    server.hq("job", "forget", "4")
    assert "ERROR Job 4 not found" in server.hq("job", "info", "last").err  # the highest id ever, not the highest left


def test_all_is_a_selector_everywhere(cluster):
    """The reference refuses it in `job cat` and `task list`."""
    for text in "ab":
        cluster.submit("--wait", "echo", text)
    assert cluster.hq("job", "cat", "all", "stdout").out == "a\nb\n"
    assert sorted(cluster.json("task", "list", "all")) == ["1", "2"]


@pytest.mark.parametrize("args", [["task", "info", "1,2", "0"], ["task", "info", "all", "0"], ["task", "explain", "1-2", "0"],
                                  ["worker", "address", "last"], ["job", "cancel", ""], ["job", "wait", "lasT"]])
def test_selectors_of_one(world, args):
    usage_error(world, *args)


def test_what_all_means(cluster):
    """`cancel`: waiting or running; `close`: open; `worker stop`: running."""
    cluster.submit("--wait", "true")
    cluster.hq("job", "open")
    cluster.submit("--cpus=64", "true")
    canceled = cluster.hq("job", "cancel", "all").err
    assert "Job 3 canceled" in canceled and "job 1 failed" not in canceled
    closed = cluster.hq("job", "close", "all").err
    assert "INFO Job 2 closed" in closed and "failed" not in closed
    assert "INFO Worker 1 stopped" in cluster.hq("worker", "stop", "all").err
    assert "already stopped" not in cluster.hq("worker", "stop", "all").err


# ---- 3.4 durations
@pytest.mark.parametrize("text, seconds, shown", [
    ("90", 90.0, "1m 30s"), ("80:02", 4802.0, "1h 20m 2s"), ("02:03:04", 7384.0, "2h 3m 4s"), ("1_0", 10.0, "10s"), ("1.5h", 5400.0, "1h 30m"),
    ("0.5s", 0.5, "500ms"), ("3h 10m 5s", 11405.0, "3h 10m 5s"), ("2h5m10s", 7510.0, "2h 5m 10s"), ("5s1h", 3605.0, "1h 5s"),
    ("2 hours 5 minutes", 7500.0, "2h 5m"), ("15days 2min 2s", 1296122.0, "15days 2m 2s"), ("1week", 604800.0, "7days"),
    ("1M", 2630016.0, "1month"), ("1y", 31557600.0, "1year"), ("2years 2months", 68375232.0, "2years 2months"), ("1500ms", 1.5, "1s 500ms"),
])
def test_durations(server, text, seconds, shown):
    job = server.submit(f"--time-limit={text}", "true")
    assert server.json("job", "info", job)[0]["submits"][0]["array"]["time_limit"] == seconds
    assert f"| Task time limit      | {shown} " in server.hq("job", "info", job).out


@pytest.mark.parametrize("text", ["", "x", "1x", "-1", "1.5", "1:2:3:4", "1::2", "1h:2", ":5", "5:", "1 2", "h", "99999999999999y", "1.h"])
def test_bad_durations(world, text):
    assert "--time-limit" in usage_error(world, "submit", f"--time-limit={text}", "true")


def test_bare_numbers_are_no_durations_in_job_files(server):
    for text, status in (("10", 1), ("0", 0), ("1:00", 1), ("10s", 0)):
        (server.work / "d.toml").write_text(f'[[task]]\ncommand = ["true"]\ntime_limit = "{text}"\n')
        assert server.hq("job", "submit-file", "d.toml", check=False).status == status, text


# ---- 3.5 amounts and requests
@pytest.mark.parametrize("text, shown", [
    ("4", "4 compact"), ("2compact", "2 compact"), ("2 compact!", "2 compact!"), ("3 tight", "3 tight"), ("3   tight!", "3 tight!"), ("2 scatter", "2 scatter"),
    ("all", "all"), ("0.5", "0.5 compact"), ("1.2500", "1.25 compact"), ("0.0001", "0.0001 compact"), ("1_0.5_0", "10.5 compact"),
])
def test_amounts(server, text, shown):
    job = server.submit(f"--cpus={text}", "true")
    assert f"| Resources            | cpus: {shown} " in server.hq("job", "info", job).out


@pytest.mark.parametrize("args, part", [
    (["--cpus=0"], "--cpus"), (["--cpus=-1"], "--cpus"), (["--cpus=1.23456"], "Resource precision exceeded"), (["--cpus=1 loose"], "--cpus"),
    (["--cpus="], "--cpus"), (["--cpus=1 2"], "--cpus"), (["--resource=my_res=1"], "--resource"), (["--resource=1a=1"], "--resource"), (["--resource=a-b=1"], "--resource"),
    (["--resource=foo"], "--resource"), (["--resource==1"], "--resource"), (["--resource=foo=0"], "--resource"),
])
def test_bad_requests(world, args, part):
    assert part in usage_error(world, "submit", *args, "true")


@pytest.mark.parametrize("args, text", [
    (["--resource=foo=1", "--resource=foo=2"], "Resource 'foo' defined more than once"),
    (["--cpus=1", "--resource=cpus=1"], "--cpus and --resource cpus=... cannot be combined"),
])
def test_requests_that_clash(server, args, text):
    failed = server.hq("submit", *args, "true", check=False)
    assert failed.status == 1 and text in failed.err and server.jobs() == {}


# ---- 3.6 small grammars
@pytest.mark.parametrize("text, shown", [
    ("none", "<None>"), ("x:rm-if-finished", "x"), (":rm-if-finished", "job-1/%{TASK_ID}.stdout"), ("  x", "x"),
    ("none:rm-if-finished", "none"), ("10:20", "10:20"), ("d:1/o:rm-if-finished", "d:1/o"),
])
def test_stdio(server, text, shown):
    """Only a last `:rm-if-finished` is a mode, so that paths may have colons (the reference takes none)."""
    job = server.submit(f"--stdout={text}", "true")
    cell = shown if shown == "<None>" else f"{server.work}/{shown}"
    assert f"| Stdout               | {cell} " in server.hq("job", "info", job).out


@pytest.mark.parametrize("args", [["--stdout=a:moon"], ["--stdout="], ["--stderr=:x"], ["--env="], ["--env==x"], ["--env=="], ["--crash-limit=0"], ["--crash-limit=65536"],
                                  ["--crash-limit=never"], ["--weight=0"], ["--weight=-1"], ["--weight=inf"], ["--weight=nan"], ["--pin=x", "--"],
                                  ["--directives=maybe"], ["--cwd="], ["--stream="], ["--each-line="]])
def test_small_grammars_refused(world, args):
    """`--env =x` and `--weight inf` too: the reference took them for a nameless variable and the largest weight."""
    usage_error(world, "submit", *args, "true")


def test_zero_crash_limit_names_the_words(world):
    assert usage_error(world, "submit", "--crash-limit=0", "true") == "error: Crash limit cannot be 0. Use `never-restart` or `unlimited` instead.\n"


def test_states(server):
    for word in ("waiting", "running", "finished", "failed", "canceled", "aborted", "opened"):
        server.hq("job", "list", f"--filter={word}")
    server.hq("job", "list", "--filter=waiting,running", "--filter=failed")
    for command in (["job", "list", "--filter=Waiting"], ["job", "list", "--filter=waiting,"], ["job", "forget", "1", "--filter=running"],
                    ["task", "list", "1", "--task-status=moon"]):
        usage_error(server, *command)


def test_names_and_reasons(server):
    for name in ("a\nb", "a\tb"):
        failed = server.hq("submit", f"--name={name}", "true", check=False)
        assert failed.status == 1 and "name cannot have a newline or a tab" in failed.err
        (server.work / "n.toml").write_text('name = "%s"\n[[task]]\ncommand = ["true"]\n' % name.replace("\n", "\\n").replace("\t", "\\t"))
        assert "name cannot have a newline or a tab" in server.hq("job", "submit-file", "n.toml", check=False).err
    job = server.submit("--name=" + "n" * 5000, "true")
    assert server.jobs()[job]["name"] == "n" * 5000
    assert "INFO Job 1 canceled" in server.hq("job", "cancel", job, "--reason=" + "r" * 200).err
    assert "Cancel reason must be shorter than 200 you entered 201." in usage_error(server, "job", "cancel", job, "--reason=" + "r" * 201)


def test_bytes_that_are_no_text(cluster):
    """Arguments are bytes; the reference wants UTF-8."""
    job = cluster.submit("--name", b"\xff".decode("utf-8", "surrogateescape"), "--wait", "printf", "%s", b"a\xfe".decode("utf-8", "surrogateescape"))
    assert (cluster.work / f"job-{job}/0.stdout").read_bytes() == b"a\xfe"
    assert cluster.jobs()[job]["name"] == "\ufffd"
    wait_until(lambda: cluster.ended(job), "its end")
