"""Sections 7 to 9 of the command line beside test_submit.py: order of checks, warnings, arrays, directives and shebang lines."""
import pytest

from harness import wait_until


def refused(world, *args, status=1, **more):
    failed = world.hq("submit", *args, check=False, **more)
    assert failed.status == status and failed.out == "", failed
    return failed.err


# ---- 7.1, 7.2
def test_three_modes(server):
    assert server.hq("submit", "true").out == "Job submitted successfully, job ID: 1\n"
    assert server.hq("--output-mode=json", "submit", "true").out == '{\n  "id": 2\n}\n'
    assert server.quiet("job", "submit", "true") == "3\n"
    assert "\x1b[32msuccessfully\x1b[0m" in server.hq("--colors=always", "submit", "true").out.replace("\x1b[39m", "\x1b[0m")


@pytest.mark.parametrize("program, name", [("/usr/bin/env", "env"), ("./a/b.sh", "b.sh"), ("..", "job"), ("/", "job"), ("a/", "a"), ("a/.", "a")])
def test_default_names(server, program, name):
    job = server.submit("--directives=off", program)
    assert server.jobs()[job]["name"] == name


def test_name_is_the_scripts_not_its_interpreters(server):
    """With a #!/bin/bash line the reference called it `bash`."""
    (server.work / "run.sh").write_text("#!/bin/bash\ntrue\n")
    job = server.submit("./run.sh")
    assert server.jobs()[job]["name"] == "run.sh"
    assert server.json("job", "info", job)[0]["submits"][0]["array"]["program"]["args"] == ["/bin/bash", "./run.sh"]


def test_usage_comes_before_the_server_and_the_server_before_files(world):
    assert "Invalid server directory" in refused(world, "--each-line=missing", "true")
    assert "--array" in refused(world, "--each-line=missing", "--array=x", "true", status=2)


@pytest.mark.parametrize("args, part", [
    (["--nodes=1", "--cpus=2"], "cannot be used with"), (["--nodes=1", "--pin=omp"], "cannot be used with"), (["--wait", "--progress"], "cannot be used with"),
    (["--each-line=a", "--from-json=b"], "cannot be used with"), (["--name=a", "--name=b"], "cannot be used multiple times"),
    (["--stream=a", "--log=b"], "--log"), (["--array=1", "--array=2"], "cannot be used multiple times"), (["--verbose"], "unexpected argument"),
])
def test_conflicts(world, args, part):
    assert part in refused(world, *args, "true", status=2)


def test_repeatable_options_add_up(server):
    job = server.submit("--resource=foo=1", "--resource=bar=0.5", "--env=A=1", "--env=B=2", "true")
    shown = server.hq("job", "info", job).out
    assert "bar: 0.5 compact" in shown and "foo: 1 compact" in shown and "| A=1 " in shown and "| B=2 " in shown


# ---- 7.3 errors and warnings
def test_open_job_errors(server):
    server.hq("job", "open")
    server.submit("--job=1", "--array=3", "true")
    assert refused(server, "--job=1", "--name=x", "true") == "Parameter --name is not allowed when submitting to an open job.\n"
    assert refused(server, "--job=1", "--max-fails=1", "true") == "Parameter --max-fails is not allowed when submitting to an open job.\n"
    assert refused(server, "--job=9", "true") == "Job 9 not found.\n"
    assert refused(server, "--job=1", "--array=1-5", "true") == "Task 3 already exists in job 1.\n"
    server.hq("job", "close", "1")
    assert refused(server, "--job=1", "--array=9", "true") == "Job 1 is not opened.\n"
    assert refused(server, "--job=1", "--array=3", "true") == "Task 3 already exists in job 1.\n"  # checked before
    assert sorted(server.tasks(1)) == [3]


def test_directives_from_stdin_need_it(server):
    assert "You have to use `--stdin` when you specify `--directives=stdin`." in refused(server, "--directives=stdin", "true")


@pytest.mark.parametrize("args, count", [
    (["--array=1-500"], "1000 files for stdout and stderr"), (["--array=1-1000", "--stderr=none"], "1000 files for stdout"),
    (["--array=1-1000", "--stdout=none"], "1000 files for stderr"), (["--array=1-499"], None), (["--array=1-1000", "--stream=s"], None),
    (["--array=1-1000", "--stdout=none", "--stderr=none"], None),
])
def test_many_files(server, args, count):
    err = server.hq("submit", *args, "true").err
    assert (f"WARN The job will create {count}" in err and "--stream" in err) if count else err == ""


def test_one_path_for_many_tasks(server):
    (server.work / "lines").write_text("a\nb\n")
    for args, names in [(["--array=1-2", "--stdout=one"], ["stdout"]), (["--array=1-2", "--stdout=a", "--stderr=b"], ["stdout", "stderr"]),
                        (["--each-line=lines", "--stderr=one"], ["stderr"]),  # the reference forgot it without --array
                        (["--array=1-2", "--stdout=one", "--cwd=d-%{TASK_ID}"], []), (["--array=1", "--stdout=one"], []),
                        (["--array=1-2", "--stdout=one-%{TASK_ID}"], [])]:
        err = server.hq("submit", *args, "true").err
        warned = [name for name in ("stdout", "stderr") if any("WARN" in line and name in line for line in err.splitlines())]
        assert warned == names and (("%{TASK_ID}" in err) == bool(names)), (args, err)


@pytest.mark.parametrize("option, path, place", [("--stdout", "%{MOON}", "stdout path"), ("--stderr", "a-%{ TASK_ID }", "stderr path"), ("--stream", "%{X}", "log path"),
                                                 ("--stream", "%{TASK_ID}", "log path"), ("--cwd", "%{}", "working directory path")])
def test_unknown_placeholders(server, option, path, place):
    name = path[path.index("{") + 1:path.index("}")]
    assert f"WARN Found unknown placeholder `{name}` in {place}\n" in server.hq("submit", f"{option}={path}", "true").err


def test_double_keys_and_idle_callbacks_are_told(server):
    assert "WARN Some environment variables were ignored." in server.hq("submit", "--env=A", "--env=A=2", "true").err
    assert "WARN The option `--on-notify` has no effect" in server.hq("submit", "--on-notify=true", "true").err


def test_stdin_hint_only_at_a_terminal(server):
    """It stood on stdout in front of the JSON."""
    assert server.hq("--output-mode=json", "submit", "--stdin", "cat", stdin=b"x").json() == {"id": 1}
    assert server.hq("submit", "--stdin", "cat", stdin=b"x").err == ""


def test_empty_stdin_is_none(cluster):
    job = int(cluster.quiet("submit", "--stdin", "--wait", "readlink", "/proc/self/fd/0", stdin=b""))
    assert cluster.read(f"job-{job}/0.stdout") == "/dev/null\n"


def test_wait_on_an_open_job_waits_for_its_end(cluster):
    cluster.hq("job", "open")
    waiter = cluster.spawn_hq("submit", "--job=1", "--wait", "true")
    wait_until(lambda: 0 in cluster.tasks(1) and cluster.ended(1), "its task's end")
    assert waiter.running()
    cluster.hq("job", "close", "1")
    assert waiter.wait() == 0


# ---- 8 arrays
@pytest.mark.parametrize("text, entries", [
    (b"a\nb\n", ["a", "b"]), (b"a\nb", ["a", "b"]), (b"a\n\nb\n", ["a", "", "b"]), (b"a\r\nb\r\n", ["a\r", "b\r"]), (b"\n", [""]), (b" a \n", [" a "]),
])
def test_lines(cluster, text, entries):
    (cluster.work / "in").write_bytes(text)
    job = cluster.submit("--each-line=in", "--wait", "sh", "-c", 'printf %s "$HQ_ENTRY"')
    assert [(cluster.work / f"job-{job}/{n}.stdout").read_bytes().decode() for n in range(len(entries))] == entries
    assert cluster.jobs()[job]["task_count"] == len(entries)


def test_lines_with_a_zero_byte_are_refused(server):
    """No variable can hold it. Lines that are not chosen may have it."""
    (server.work / "in").write_bytes(b"a\nb\0c\n")
    assert "in: Entry 1 has a zero byte, which no variable can hold" in refused(server, "--each-line=in", "true")
    (server.work / "in.toml").write_text('[array]\ncommand = ["true"]\nentries = ["x\\u0000y"]\n')
    assert "zero byte" in server.hq("job", "submit-file", "in.toml", check=False).err
    assert server.jobs() == {}
    job = server.submit("--each-line=in", "--array=0", "true")
    assert server.jobs()[job]["task_count"] == 1


def test_elements(cluster):
    (cluster.work / "in").write_text('[{"b": 1, "a": [true, null]}, "x", 1.50, 12345678901234567890, [], "\\u017e\\n"]')
    job = cluster.submit("--from-json=in", "--wait", "sh", "-c", 'printf %s "$HQ_ENTRY"')
    entries = [cluster.read(f"job-{job}/{n}.stdout") for n in range(6)]
    assert entries == ['{"a":[true,null],"b":1}', '"x"', "1.5", "12345678901234567890", "[]", '"ž\\n"']


@pytest.mark.parametrize("text, part", [("{}", "The top element of the provided JSON file has to be an array"), ("1", "has to be an array"), ("[1", "line"), ("", "in"), ("[1,]", "line"),
                                        ("[1] x", "line")])
def test_no_elements(server, text, part):
    (server.work / "in").write_text(text)
    err = refused(server, "--from-json=in", "true")
    assert part in err and "in" in err and server.jobs() == {}


def test_empty_sources_make_empty_jobs(server):
    (server.work / "lines").write_text("")
    (server.work / "elements").write_text("[]")
    for args in (["--each-line=lines"], ["--from-json=elements"], ["--from-json=elements", "--array=5"]):
        job = server.submit(*args, "true")
        assert server.jobs()[job]["task_count"] == 0 and server.hq("job", "wait", job).status == 0
        assert "| Tasks                | 0 " in server.hq("job", "info", job).out  # the reference showed 0-4294967295
    assert "WARN" in server.hq("submit", "--each-line=lines", "true").err


def test_missing_files_are_named(server):
    for option in ("--each-line", "--from-json"):
        assert "nowhere: No such file or directory (os error 2)" in refused(server, f"{option}=nowhere", "true")
        assert "Is a directory (os error 21)" in refused(server, f"{option}={server.work}", "true")


def test_subset_beyond_the_end_is_dropped(cluster):
    (cluster.work / "in").write_text('["a","b","c"]')
    job = cluster.submit("--from-json=in", "--array=9,2,0", "--wait", "sh", "-c", 'echo "$HQ_ENTRY"')
    assert {n: cluster.read(f"job-{job}/{n}.stdout") for n in cluster.tasks(job)} == {0: '"a"\n', 2: '"c"\n'}


def test_exactly_the_lines_in_an_open_job(cluster):
    """The reference made tasks beyond them that waited for ever."""
    (cluster.work / "in").write_text("a\nb\nc\n")
    cluster.hq("job", "open")
    cluster.submit("--job=1", "--array=4", "true")
    cluster.submit("--job=1", "--each-line=in", "sh", "-c", 'echo "$HQ_ENTRY"')
    cluster.submit("--job=1", "--each-line=in", "--array=1,20", "sh", "-c", 'echo "$HQ_ENTRY"')
    wait_until(lambda: cluster.ended(1), "their end")
    assert sorted(cluster.tasks(1)) == [1, 4, 5, 6, 7]
    assert [cluster.read(f"job-1/{n}.stdout") for n in (1, 5, 6, 7)] == ["b\n", "a\n", "b\n", "c\n"]


# ---- 9 directives and shebang
def names_and_args(world, job):
    info = world.json("job", "info", job)[0]
    return info["info"]["name"], info["submits"][0]["array"]["program"]["args"]


@pytest.mark.parametrize("option, name, args", [
    ([], "d", ["/bin/sh", "-e", "run.sh", "x"]), (["--directives=auto"], "d", ["/bin/sh", "-e", "run.sh", "x"]),
    (["--directives=file"], "d", ["/bin/sh", "-e", "run.sh", "x"]), (["--directives=off"], "run.sh", ["run.sh", "x"]),
    (["--name=mine"], "mine", ["/bin/sh", "-e", "run.sh", "x"]),
])
def test_sources(server, option, name, args):
    (server.work / "run.sh").write_text("#!/bin/sh -e\n#HQ --name d\ntrue\n")
    assert names_and_args(server, server.submit(*option, "run.sh", "x")) == (name, args)


def test_only_sh_files_by_themselves(server):
    (server.work / "run.txt").write_text("#!/bin/cat\n#HQ --name d\n")
    assert names_and_args(server, server.submit("run.txt")) == ("run.txt", ["run.txt"])
    assert names_and_args(server, server.submit("--directives=file", "run.txt")) == ("d", ["/bin/cat", "run.txt"])
    assert "Could not parse directives from missing.sh: " in refused(server, "missing.sh")
    server.submit("missing")  # fails when it starts


def test_directives_in_stdin(server):
    text = b"#!/bin/sh\n#HQ --name=given --array 1-3\ntrue\n"
    job = int(server.quiet("submit", "--stdin", "--directives=stdin", "--", "bash", stdin=text))
    assert names_and_args(server, job) == ("given", ["bash"]) and server.jobs()[job]["task_count"] == 3


@pytest.mark.parametrize("text, name", [
    ("  #HQ --name a\n", "a"), ("\n\n# note\n#HQ --name b\n", "b"), ("echo\n#HQ --name c\n", "run.sh"), ("#HQ--name d\n", "run.sh"), ("#HQ \n#HQ --name e", "e"),
    ('#HQ --name "a b"\n', "a b"), ('#HQ --name="a b"\n', "a b"), ("#HQ --name=a\\ b\n", "a b"), ('#HQ --name "a\\"b"\n', 'a"b'), ("#HQ --name 'x'\n", "'x'"), ("#HQ --name $A*\n", "$A*"),
    ("#HQ --name \t x\n", "x"), ("#hq --name z\n", "run.sh"),
])
def test_scan_and_words(server, text, name):
    """The backslash that protects a character goes away (the reference kept it)."""
    (server.work / "run.sh").write_text(text)
    assert names_and_args(server, server.submit("./run.sh"))[0] == name


def test_scan_ends_after_32_kib(server):
    line = "#" + "x" * 1022 + "\n"
    for count, name in ((30, "late"), (33, "run.sh")):
        (server.work / "run.sh").write_text(line * count + "#HQ --name late\n")
        assert names_and_args(server, server.submit("./run.sh"))[0] == name


@pytest.mark.parametrize("line", ["--wait", "--job=1", "--stdin", "word", "--array=x", "--progress", "--name", '--name ""', '--name "x', "--frob", "--name a --name b", "--directives=off", "--on-notify=x"])
def test_bad_directives(server, line):
    (server.work / "run.sh").write_text(f"#HQ {line}\n")
    err = refused(server, "./run.sh")
    assert err.startswith("Could not parse directives from ./run.sh: ") and server.jobs() == {}
    if '"' not in line:
        assert "You have used invalid parameter(s) after a #HQ directive." in err


def test_merging(cluster):
    (cluster.work / "in").write_text("a\nb\n")
    (cluster.work / "run.sh").write_text("#HQ --env=A=file --env=B=file --each-line=in --priority=3 --task-dir --weight=2.5 --resource=foo=1\n")
    job = cluster.submit("--env=A=line", "--array=7-9", "--priority=0", "--resource=bar=2", "./run.sh")
    info = cluster.json("job", "info", job)[0]
    array = info["submits"][0]["array"]
    assert array["program"]["env"] == {"A": "line", "B": "file"}  # the reference: the file wins
    assert [task["id"] for task in info["tasks"]] == [7, 8, 9]  # sources are one unit
    assert array["priority"] == 0 and array["task_dir"] and array["resources"][0]["weight"] == 25000  # the weight was dropped
    assert {entry["resource"] for entry in array["resources"][0]["resources"]} == {"bar", "cpus", "foo"}


def test_conflicts_are_checked_after_merging(server):
    """The reference checked each source alone."""
    (server.work / "run.sh").write_text("#HQ --cpus=2\n")
    assert "cannot be" in refused(server, "--nodes=2", "./run.sh")
    (server.work / "two.sh").write_text("#HQ --resource foo=2\n")
    assert "defined more than once" in refused(server, "--resource=foo=1", "./two.sh")
    assert "--cpus and --resource cpus=... cannot be combined" in refused(server, "--resource=cpus=1", "./run.sh")


def test_zero_bytes_and_windows_line_ends(server):
    (server.work / "run.sh").write_bytes(b"#HQ --name crlf\r\n#HQ --priority 4\r\n")
    name, _ = names_and_args(server, server.submit("./run.sh"))
    assert name == "crlf"
    (server.work / "bin.sh").write_bytes(b"\x7fELF\0\0\0#HQ --name no\n")
    assert names_and_args(server, server.submit("./bin.sh"))[0] == "bin.sh"
