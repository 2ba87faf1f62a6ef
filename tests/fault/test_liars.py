"""Workers that report what cannot be: dropped with a line in the log, their tasks run elsewhere, hqd stays in order."""
import subprocess

import pytest

from harness import TOOLS, wait_until

LIES = {1: "it reports a job that never was", 2: "its reports make no sense"}


@pytest.mark.parametrize("lie", LIES)
def test_liar_is_dropped(server, lie):
    liar = subprocess.Popen([TOOLS / "thin_worker", "-d", server.server_dir, "-w", "1", "-s", "4", "-l", str(lie)], env=server.env,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        server.hq("worker", "wait", "1")
        job = server.submit("--array=1-4", "--crash-limit=unlimited", "sh", "-c", "echo $HQ_INSTANCE_ID")
        server.server.wait_for_err(f"WARN Worker 1 is dropped: {LIES[lie]}")
        wait_until(lambda: server.workers()[1]["ended"] is not None, "the end of worker 1")
        assert server.stats(job)["finished"] == 0
    finally:
        liar.kill()
        liar.communicate()
    server.start_worker("--cpus=2")  # an honest one does the work
    assert server.wait_job(job)["finished"] == 4
    assert all(int(server.read(f"job-{job}/{task}.stdout")) >= 1 for task in range(1, 5))
    assert server.server.running() and "assert" not in server.server.err().lower()
