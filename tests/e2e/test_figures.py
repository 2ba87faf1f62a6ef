"""Figures that no neighbour of the machine disturbs: memory, and what is done at all. Times are in bench/."""
import subprocess

import pytest
from harness import SAN, TOOLS, rss_kb, wait_until

pytestmark = pytest.mark.skipif(bool(SAN), reason="sanitizers need memory of their own")


def peak_kb(world, *args):
    """Peak memory of one hq that succeeds."""
    file = world.work / "used"
    subprocess.run([TOOLS / "used", file, world.bin / "hq", *args], env=world.env, cwd=world.work, check=True, stdout=subprocess.DEVNULL)
    return int(file.read_text().split()[2])


def thin_workers(world, count, slots):
    """Workers that end at once whatever they are given."""
    thin = subprocess.Popen([TOOLS / "thin_worker", "-d", world.server_dir, "-w", str(count), "-s", str(slots)], env=world.env,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert thin.stdout.readline() == "ready\n"
    return thin


def test_lines_cost_less_than_twice_their_size(server):
    text = server.work / "lines"
    text.write_text("".join(f"{line:07d} abcdefghijklmno\n" for line in range(250000)))
    size_kb = text.stat().st_size // 1024
    before = rss_kb(server.server.pid)
    server.submit("--each-line=lines", "--stdout=none", "--stderr=none", "true")
    assert rss_kb(server.server.pid) - before < 2 * size_kb


def test_graph_costs_64_bytes_a_task_and_8_an_edge(server):
    count = 50000
    with open(server.work / "graph.toml", "w", encoding="ascii") as file:
        for task in range(count):
            deps = f"deps = [{', '.join(str(task - back) for back in (4, 3, 2, 1))}]\n" if task >= 4 else ""
            file.write(f'[[task]]\nid = {task}\ncommand = ["true"]\n{deps}')
    server.hq("server", "info")
    before = rss_kb(server.server.pid)
    server.hq("job", "submit-file", "graph.toml")
    # and a megabyte for what is there once: buffers, tables of the first job
    assert (rss_kb(server.server.pid) - before) * 1024 < 64 * count + 8 * 4 * (count - 4) + (1 << 20)


def test_lists_of_many_tasks_need_one_page_of_memory(server):
    server.submit("--array=1-300000", "--stdout=none", "--stderr=none", "true")
    thin = thin_workers(server, 4, 64)
    try:
        wait_until(lambda: server.stats(1)["finished"] == 300000, "all tasks")
    finally:
        thin.terminate()
        thin.wait(20)
    for args in (("--output-mode=json", "task", "list", "1"), ("--output-mode=json", "job", "info", "1"), ("--output-mode=quiet", "task", "list", "1")):
        assert peak_kb(server, *args) < 16 * 1024
