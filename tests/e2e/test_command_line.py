"""Conventions of the command line: help, version, usage errors, modes by option and variable."""
import pytest


def test_version(world):
    for flag in ("--version", "-V"):
        assert world.hq(flag).out == f"hyperqueue {(__import__('harness').REPO / 'VERSION').read_text().strip()}\n"


@pytest.mark.parametrize("command", [[], ["server"], ["job"], ["worker"], ["task"]])
def test_command_without_a_subcommand(world, command):
    helped = world.hq(*command, check=False)
    assert helped.status == 2 and helped.out == "" and "Usage: hq" in helped.err


COMMANDS = [["server", "start"], ["server", "info"], ["server", "stop"], ["server", "wait"], ["worker", "start"], ["worker", "list"],
            ["worker", "info"], ["worker", "stop"], ["worker", "wait"], ["submit"], ["job", "submit"], ["job", "list"], ["job", "info"],
            ["job", "cancel"], ["job", "wait"], ["job", "progress"], ["job", "cat"], ["job", "summary"], ["job", "task-ids"],
            ["task", "list"], ["task", "info"]]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help(world, command):
    short, long = world.hq(*command, "-h"), world.hq(*command, "--help")
    assert "Usage: hq " + " ".join(command) in short.out and short.err == ""
    assert "GLOBAL OPTIONS" in long.out.upper() and "--server-dir" in long.out


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_unknown_option(world, command):
    failed = world.hq(*command, "--frobnicate", check=False)
    assert failed.status == 2 and failed.out == ""
    assert failed.err.startswith("error: unexpected argument '--frobnicate' found")
    assert failed.err.endswith("For more information, try '--help'.\n")


@pytest.mark.parametrize("args, text", [
    (["jobz"], "unrecognized subcommand 'jobz'"),
    (["--output-mode=xml", "job", "list"], "invalid value 'xml' for '--output-mode"),
    (["job", "list", "--output-mode=json", "--output-mode=json"], "cannot be used multiple times"),
    (["--server-dir=", "job", "list"], "a value is required for '--server-dir"),
    (["server", "start", "--client-port", "70000"], "invalid value '70000' for '--client-port"),
    (["job", "info"], "required"),
    (["job", "cat", "1", "stdin"], "invalid value 'stdin'"),
    (["job", "list", "--filter=moon"], "invalid value 'moon'"),
    (["job", "list", "--all", "--filter=running"], "cannot be used with"),
    (["worker", "list", "--all", "--filter=running"], "cannot be used with"),
    (["task", "info", "all", "1"], "invalid value 'all'"),
    (["job", "wait", "5-"], "invalid value '5-'"),
])
def test_usage_errors(world, args, text):
    failed = world.hq(*args, check=False)
    assert failed.status == 2 and failed.out == "" and text in failed.err, failed


def test_mode_by_variable_and_flag(world):
    by_variable = world.hq("job", "list", check=False, env={"HQ_OUTPUT_MODE": "json"})
    assert by_variable.json()["error"].startswith("Invalid server directory")
    by_flag = world.hq("job", "list", "--output-mode=cli", check=False, env={"HQ_OUTPUT_MODE": "json"})
    assert by_flag.out == "" and by_flag.err.startswith("Invalid server directory")


def test_server_directory_by_variable_and_flag(server):
    directory = server.server_dir
    elsewhere = {"HOME": str(server.tmp)}
    assert server.hq("job", "list", env=elsewhere, check=False).status == 1
    assert server.hq("job", "list", env={**elsewhere, "HQ_SERVER_DIR": str(directory)}).status == 0
    assert server.hq("job", "list", f"--server-dir={directory}", env={**elsewhere, "HQ_SERVER_DIR": "/none"}).status == 0
    assert server.hq("--server-dir", "home/.hq-server", "job", "list", env=elsewhere, cwd=server.root).status == 0
    assert server.hq("--server-dir", directory / "001", "job", "list", env=elsewhere).status == 0


def test_debug_lines(server):
    server.submit("true")
    normal = server.hq("job", "cancel", "1").err
    assert normal.split(" ")[1] == "INFO" and normal[19] == "Z"
    long = server.hq("--debug", "job", "cancel", "1").err
    assert long.startswith("[") and "Z ERROR" in long


def test_colours(server):
    server.submit("true")
    assert "\x1b[" not in server.hq("job", "list").out
    assert "\x1b[" in server.hq("--colors=always", "job", "list").out
    assert "\x1b[" not in server.hq("--colors=always", "--output-mode=json", "job", "list").out
    assert "\x1b[" not in server.hq("--colors=never", "job", "list").out
