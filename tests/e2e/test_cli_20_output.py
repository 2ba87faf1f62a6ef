"""Sections 1, 2, 20 and 21 of the command line: streams, modes, tables, colours, the catalogue of errors."""
import json
import re

import pytest

NO_SERVER = [["job", "list"], ["job", "summary"], ["job", "info", "1"], ["job", "cancel", "1"], ["job", "forget", "1"], ["job", "cat", "1", "stdout"], ["submit", "true"],
             ["job", "submit-file", "x"], ["job", "wait", "1"], ["job", "progress", "1"], ["job", "task-ids", "1"], ["job", "open"], ["job", "close", "1"], ["task", "list", "1"],
             ["task", "info", "1", "1"], ["task", "explain", "1", "1"], ["worker", "list"], ["worker", "info", "1"], ["worker", "stop", "1"], ["worker", "address", "1"],
             ["worker", "wait", "1"], ["alloc", "list"], ["alloc", "info", "1"], ["alloc", "pause", "1"], ["alloc", "resume", "1"], ["alloc", "remove", "1"],
             ["alloc", "log", "1", "stdout"], ["journal", "stream"], ["journal", "replay"], ["journal", "prune"], ["journal", "flush"], ["server", "info"], ["server", "stop"],
             ["server", "debug-dump", "x"]]


@pytest.mark.parametrize("command", NO_SERVER, ids=" ".join)
def test_without_a_server(world, command):
    """One text for all commands: on stderr, or as {"error"} on stdout in JSON."""
    missing = world.hq(*command, check=False)
    text = f'Invalid server directory\n\nCaused by:\n    Error: "{world.server_dir}" is not a directory\n'
    assert (missing.status, missing.out, missing.err) == (1, "", text)
    as_json = world.hq("--output-mode=json", *command, check=False)
    assert (as_json.status, as_json.err) == (1, "") and as_json.json() == {"error": text.rstrip("\n")}
    world.server_dir.mkdir()
    empty = world.hq("--output-mode=quiet", *command, check=False)
    assert empty.status == 1 and empty.out == "" and empty.err.startswith(f'No running instance of HQ found at "{world.server_dir}".\nTry to start the server: `hq server start`')


@pytest.mark.parametrize("args, text", [
    ([], "Usage: hq"), (["frob"], "unrecognized subcommand 'frob'"), (["job", "frob"], "unrecognized subcommand 'frob'"), (["job", "list", "extra"], "unexpected argument 'extra'"),
    (["job", "list", "-x"], "unexpected argument '-x'"), (["job", "list", "--al"], "unexpected argument '--al'"), (["job", "li"], "unrecognized subcommand"),
    (["job", "list", "--all", "--all"], "cannot be used multiple times"), (["job", "info"], "<SELECTOR>"), (["job", "cat", "1"], "required"), (["job", "cat", "1", "both"], "invalid value 'both'"),
    (["submit"], "required"), (["task", "info", "1"], "required"), (["task", "info", "1", "x"], "invalid value 'x'"), (["worker", "wait", "x"], "invalid value 'x'"),
    (["worker", "list", "--filter=moon"], "invalid value 'moon'"), (["server", "start", "--client-port=70000"], "invalid value '70000'"), (["job", "list", "--colors=blue"], "invalid value 'blue'"),
    (["server", "generate-access", "x"], "--client-port"), (["generate-completion", "ksh"], "invalid value 'ksh'"), (["alloc", "add"], "Usage"), (["alloc", "info", "x"], "invalid value 'x'"),
    (["job", "list", "--output-mode"], "a value is required"), (["-v"], "unexpected argument '-v'"), (["job", "list", "-V"], "unexpected argument '-V'"),
])
def test_usage_errors(world, args, text):
    """Exit 2, plain text on stderr, also in JSON; the last line points to the help."""
    for mode in ([], ["--output-mode=json"]):
        failed = world.hq(*mode, *args, check=False)
        assert failed.status == 2 and failed.out == "" and text in failed.err, failed
        if args and args != ["alloc", "add"]:
            assert failed.err.startswith("error: ") and failed.err.endswith("For more information, try '--help'.\n")


@pytest.mark.parametrize("variable, value, part", [("HQ_OUTPUT_MODE", "xml", "invalid value 'xml'"), ("HQ_DEBUG", "maybe", "invalid value 'maybe'")])
def test_bad_variables_are_usage_errors(world, variable, value, part):
    failed = world.hq("job", "list", env={variable: value}, check=False)
    assert failed.status == 2 and part in failed.err


def test_debug_variable_takes_what_switches_take(server):
    """`1`, `0` and the empty text beside `true` and `false`."""
    for value, is_long in (("1", True), ("true", True), ("0", False), ("false", False), ("", False)):
        assert server.hq("job", "cancel", "9", env={"HQ_DEBUG": value}).err.startswith("[") == is_long


def test_log_filter(server):
    assert server.hq("job", "cancel", "all", env={"RUST_LOG": "error"}).err == ""
    assert "ERROR" in server.hq("job", "cancel", "9", env={"RUST_LOG": "error"}).err
    assert server.hq("job", "cancel", "9", env={"RUST_LOG": "hq=debug"}).err.startswith("[")


def test_global_options_stand_anywhere_before_the_program(server):
    assert json.loads(server.hq("job", "--output-mode=json", "list").out) == json.loads(server.hq("job", "list", "--output-mode", "json").out) == []
    job = server.submit("echo", "--output-mode=json", "--help")
    assert server.json("job", "info", job)[0]["submits"][0]["array"]["program"]["args"] == ["echo", "--output-mode=json", "--help"]


def test_table_geometry(server):
    """Borders, one blank of padding, ids to the right, cells of several lines, wide characters count two columns."""
    server.submit("--name=漢字", "true")
    server.submit("--name=b", "true")
    lines = server.hq("job", "list").out.splitlines()
    assert lines == ["+----+------+---------+-------+", "| ID | Name | State   | Tasks |", "+----+------+---------+-------+",
                     "|  1 | 漢字 | WAITING | 1     |", "|  2 | b    | WAITING | 1     |", "+----+------+---------+-------+"]
    info = server.hq("job", "info", "2").out.splitlines()
    assert info[0] == info[-1] and len({len(line) for line in info}) == 1
    command = server.hq("job", "info", server.submit("sh", "-c", "a\nb")).out
    assert re.search(r"^\| Command +\| sh +\|\n\| +\| -c +\|\n\| +\| a +\|\n\| +\| b +\|$", command, re.M)


STATES = {"WAITING": "36", "RUNNING": "33", "FINISHED": "32", "FAILED": "31", "CANCELED": "35"}


def test_colours_of_states(cluster):
    cluster.submit("--wait", "true")
    cluster.submit("--wait", "false")
    cluster.submit("--cpus=64", "true")
    cluster.hq("job", "cancel", cluster.submit("--cpus=64", "true"))
    running = cluster.submit("sleep", "1000")
    cluster.wait_task(running, 0, "running")
    shown = cluster.hq("--colors=always", "job", "list", "--all").out
    for word, code in STATES.items():
        assert re.search(rf"\x1b\[(?:\d+;)*{code}m{word} *\x1b", shown), word
    plain = re.sub(r"\x1b\[[\d;]*m", "", shown)
    assert plain == cluster.hq("job", "list", "--all").out and not shown.endswith("\x1b[0m")


@pytest.mark.parametrize("variable", ["NO_COLOR", "CLICOLOR_FORCE"])
def test_no_colours_without_a_terminal(server, variable):
    server.submit("true")
    assert "\x1b" not in server.hq("job", "list", env={variable: "1"}).out
    assert "\x1b" in server.hq("--colors=always", "job", "list", env={variable: "1"}).out


def test_json_form(cluster):
    """Two blanks of indent, sorted keys, `[]` and `{}` when empty, UTF-8 as it is, floats that stay floats, RFC 3339 in UTC."""
    job = cluster.submit("--name=ž\"\\", "--time-limit=8", "--wait", "true")
    text = cluster.hq("--output-mode=json", "job", "info", job).out
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert '"time_limit": 8.0' in text and '"name": "ž\\"\\\\"' in text and '"env": {}' in text
    info = json.loads(text)[0]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}|\.\d{6}|\.\d{9})?Z", info[key]) for key in ("started_at", "finished_at"))


def test_one_document_per_run(server):
    for command in (["job", "list"], ["job", "info", "9"], ["job", "cancel", "9"], ["job", "summary"], ["worker", "list"], ["server", "info"], ["task", "list", "9"], ["journal", "flush"], ["alloc", "list"]):
        text = server.hq("--output-mode=json", *command).out
        assert json.loads(text) is not None and text.endswith("\n")


def test_errors_of_the_server_have_a_prefix(server):
    """Its refusals: `Error: `; what the client finds: none."""
    for command, text in ((["job", "task-ids", "9"], "Error: Job Id not found"), (["task", "explain", "9", "0"], "Error: Job not found"), (["alloc", "info", "9"], "Error: Queue 9 not found"),
                          (["submit", "--job=9", "true"], "Job 9 not found."), (["worker", "address", "9"], "Worker 9 not found")):
        failed = server.hq(*command, check=False)
        assert (failed.status, failed.out, failed.err) == (1, "", text + "\n")
        assert server.hq("--output-mode=json", *command, check=False).json() == {"error": text}


def test_quiet_lines(cluster):
    cluster.submit("--wait", "true")
    assert cluster.quiet("worker", "list") == "1 RUNNING\n" and cluster.quiet("job", "list", "--all") == "1 FINISHED\n"
    for command in (["job", "info", "1"], ["worker", "info", "1"], ["job", "wait", "1"], ["server", "info"], ["journal", "flush"]):
        assert cluster.quiet(*command) == ""
