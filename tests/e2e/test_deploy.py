"""hq worker deploy-ssh with a stand-in for ssh that runs the command here; hq doc, completions."""
import shutil
import signal
import stat

from harness import wait_until

SSH = """#!/bin/sh
echo "$@" >>"$HQ_TEST_ROOT/ssh.log"
test "$1" = broken && exit 255
for last; do :; done
exec sh -c "exec $last"
"""


def with_ssh(world):
    path = world.root / "bin" / "ssh"
    path.parent.mkdir()
    path.write_text(SSH)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    world.env["PATH"] = f"{path.parent}:{world.env['PATH']}"


def calls(world):
    return sorted((world.root / "ssh.log").read_text().splitlines())


def test_workers_on_hosts(server):
    with_ssh(server)
    (server.work / "hosts").write_text("one\n\n two:2222 \n")
    deploy = server.spawn_hq("worker", "deploy-ssh", "hosts", "--", "--cpus", "2", "--resource", "x=[a,b]", "--hostname=o p")
    server.hq("worker", "wait", 2)
    assert [worker["configuration"]["hostname"] for worker in server.workers().values()] == ["o p", "o p"]
    words = f"{server.bin}/hq worker start --cpus 2 --resource 'x=[a,b]' '--hostname=o p'"
    assert calls(server) == [f"one -t -t -- {words}", f"two -t -t -p 2222 -- {words}"]
    assert deploy.out() == ""
    server.hq("worker", "stop", "all")
    assert deploy.wait() == 0
    for text in ("INFO Started worker process at `one`", "INFO Worker at `two:2222` has ended successfully",
                 "INFO All workers have finished"):
        assert text in deploy.err(), deploy.err()


def test_a_worker_that_fails(server):
    with_ssh(server)
    (server.work / "hosts").write_text("broken\n")
    failed = server.hq("worker", "deploy-ssh", "hosts", check=False)
    assert failed.status == 1 and "ERROR Worker at `broken` has ended with an error: exit status 255" in failed.err
    assert failed.err.endswith("Some workers have ended with an error\n")


def test_output_and_interrupt(server):
    with_ssh(server)
    (server.work / "hosts").write_text("one\n")
    deploy = server.spawn_hq("worker", "deploy-ssh", "--show-output", "hosts", "--cpus=1")
    deploy.wait_for_out("Manager Job ID")
    deploy.signal(signal.SIGINT)
    deploy.wait()
    assert "SIGINT received, closing workers" in deploy.err()
    wait_until(lambda: server.running_workers() == [], "the worker's end")


def test_bad_deployments(world):
    (world.work / "empty").write_text("\n")
    (world.work / "hosts").write_text("one\n")
    for args, status, text in [
        (["missing"], 1, "Cannot load hostfile from missing\n\nCaused by:\n    No such file or directory (os error 2)"),
        (["empty"], 1, "Cannot load hostfile from empty\n\nCaused by:\n    There is no host in it"),
        (["hosts", "--cpus=x"], 2, "error: invalid value 'x' for '--cpus <CPUS>'"),
        ([], 2, "required arguments were not provided"),
    ]:
        failed = world.hq("worker", "deploy-ssh", *args, check=False)
        assert failed.status == status and text in failed.err, failed
    world.env["PATH"] = str(world.bin)
    failed = world.hq("worker", "deploy-ssh", "hosts", check=False)
    assert failed.status == 1 and failed.err == "Cannot find `ssh` binary. Make sure that OpenSSH is installed.\n"


def test_where_the_manual_is(world):
    """An installed tree prints its page; a copied program has none."""
    share = world.root / "share" / "doc" / "hq"
    share.mkdir(parents=True)
    (world.root / "bin").mkdir()
    shutil.copy(world.bin / "hq", world.root / "bin" / "hq")
    world.bin = world.root / "bin"
    missing = world.hq("doc", check=False)
    assert missing.status == 1 and "README.md is not installed" in missing.err
    for page in ("README.md", "cli.md"):
        (share / page).write_text(page)
    assert world.hq("doc").out == f"{share}/README.md\n"
    assert world.hq("doc", "pbs").out == world.hq("--output-mode=json", "doc", "jobs").out == f"{share}/cli.md\n"
    assert world.hq("doc", "moon", check=False).status == 2


def test_completions(world):
    for shell in ("bash", "zsh", "fish"):
        done = world.hq("generate-completion", shell)
        assert done.out and done.err == f"Generating completion file for {shell}...\n"
    for shell in ("elvish", "powershell"):
        failed = world.hq("generate-completion", shell, check=False)
        assert failed.status == 1 and failed.err == f"There are no completions for {shell}, only for bash, zsh and fish\n"
    assert world.hq("generate-completion", "tcsh", check=False).status == 2
