"""hq journal report: the page, its numbers, and how it looks in a browser."""
import html
import json
import re
import shutil
import subprocess

import pytest

from harness import SLOW

# Boxes of all visible texts of the page in the frame; two that meet are named. What a scrolling table hides does not count.
WRAPPER = """<!DOCTYPE html><body style="margin:0"><iframe id="f" src="%s" style="border:0;width:%dpx;height:4000px"></iframe>
<pre id="result"></pre><script>
window.onload = () => setTimeout(() => {
  const doc = document.getElementById('f').contentDocument, boxes = [];
  const walk = doc.createTreeWalker(doc.body, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const e = node.parentElement;
    if (!node.textContent.trim() || ['SCRIPT', 'STYLE', 'title'].includes(e.tagName) || e.getClientRects().length === 0) continue;
    const range = doc.createRange();
    range.selectNodeContents(node);
    const clip = e.closest('.wide, td, .lanes > span');
    for (const r of range.getClientRects()) {
      const box = [r.left, r.top, r.right, r.bottom, node.textContent.trim()];
      for (let c = clip; c; c = c.parentElement && c.parentElement.closest('.wide')) {
        const k = c.getBoundingClientRect();
        box[0] = Math.max(box[0], k.left); box[2] = Math.min(box[2], k.right);
      }
      if (box[2] - box[0] > 1) boxes.push(box);
    }
  }
  const overlaps = [];
  boxes.forEach((a, i) => boxes.slice(i + 1).forEach(b => {
    if (Math.min(a[2], b[2]) - Math.max(a[0], b[0]) > 1 && Math.min(a[3], b[3]) - Math.max(a[1], b[1]) > 1) overlaps.push(a[4] + ' / ' + b[4]);
  }));
  document.getElementById('result').textContent = JSON.stringify({boxes: boxes.length, overlaps: overlaps,
    width: doc.documentElement.scrollWidth, paths: doc.querySelectorAll('#globalChart path').length,
    runs: doc.querySelectorAll('#lanesChart rect').length});
}, 200);
</script></body>
"""


def number(page, name):
    return json.loads(re.search(rf"^const {name} = (.*?);$", page, re.M | re.S).group(1))


def run_some_jobs(world):
    server = world.start_server("--journal=j.bin")
    world.start_worker("--cpus=2x2", "--detect-resources=none", "--resource=gpus/nvidia=[0,1]")
    world.start_worker("--cpus=2", "--detect-resources=none")
    world.hq("submit", "--name=</script><b>&", "--array=1-30", "--wait", "sh", "-c", "test $HQ_TASK_ID != 7")
    world.hq("submit", "--resource=gpus/nvidia=0.5", "--array=1-4", "--wait", "sleep", "0.1")
    world.hq("submit", "--cpus=2", "--time-request=1h", "--wait", "true")
    canceled = world.submit("sleep", "100")
    world.wait_task(canceled, 0, "running")
    world.hq("job", "cancel", canceled)
    world.hq("server", "stop")
    server.wait()


def test_numbers_of_the_page(world):
    run_some_jobs(world)
    (world.work / "out.html").write_text("old")
    assert world.hq("journal", "report", "j.bin", "out.html").out == ""
    page = world.read("out.html")
    assert '<h1 class="report-title">HQ Journal Report</h1>' in page and "Time filtering" not in page
    assert not re.search(r"(src|href)=|@import|url\(", page) and set(re.findall(r"https?://[^'\"\s]*", page)) == {"http://www.w3.org/2000/svg"}
    assert page.count("</script>") == 1 and "&lt;/script&gt;&lt;b&gt;&amp;" in page
    for chart in ("globalChart", "countsChart", "durationsChart", "lanesChart"):
        assert f'<div id="{chart}"></div>' in page
    classes = [entry["text"] for entry in number(page, "task_classes")]
    assert classes == ["cpus: 1 compact", "cpus: 1 compact, gpus/nvidia: 0.5 compact", "cpus: 2 compact, min_time: 1h"]
    assert number(page, "finished_tasks") == [29, 4, 1] and number(page, "failed_tasks") == [1, 0, 0]
    assert [entry["name"] for entry in number(page, "durationsData")] == ["Finished T1", "Failed T1", "Finished T2", "Finished T3"]
    spread = number(page, "durationsData")[2]
    assert spread["count"] == 4 and 0.1 <= spread["min"] <= spread["q1"] <= spread["median"] <= spread["q3"] <= spread["max"] < 10
    running = {entry["name"]: entry["points"] for entry in number(page, "running_workers")}
    assert sorted(running) == ["Running workers cpus:2", "Running workers cpus:4, gpus/nvidia:2"]
    assert all(max(value for _, value in points) == 1 and points[-1][1] == 0 for points in running.values())
    names = [entry["name"] for entry in number(page, "utilization")]
    assert "gpus/nvidia alloc on cpus:4, gpus/nvidia:2" in names
    assert all(0 <= value <= 1.0001 for entry in number(page, "utilization") for _, value in entry["points"])
    assert number(page, "queued_workers") == [] and len(number(page, "runs")) == 36
    assert [worker["id"] for worker in number(page, "workers")] == [1, 2]


def test_filter(world):
    run_some_jobs(world)
    for options, text in [(["--start-time=1h"], "since 1h"), (["--end-time=00:00:05"], "upto 5s"),
                          (["--start-time=100ms", "--end-time", "2m"], "between 100ms and 2m")]:
        world.hq("journal", "report", *options, "j.bin", "out.html")
        assert f"<b>{text}</b><span>Time filtering</span>" in world.read("out.html")
    world.hq("journal", "report", "--end-time=0", "j.bin", "out.html")
    assert number(world.read("out.html"), "finished_tasks") == []


def test_errors(world):
    (world.work / "empty").write_text("")
    (world.work / "text").write_text("no journal at all, but long enough for a head of one")
    for path, text in [("missing.bin", "Cannot open event log file at `missing.bin`: No such file or directory (os error 2)"),
                       ("empty", "failed to fill whole buffer"), ("text", "Invalid journal format")]:
        failed = world.hq("journal", "report", path, "out.html", check=False)
        assert failed.status == 1 and failed.err == text + "\n" and not (world.work / "out.html").exists()
    assert world.hq("journal", "report", "j.bin", check=False).status == 2
    run_some_jobs(world)
    failed = world.hq("journal", "report", "j.bin", "no/such/out.html", check=False)
    assert failed.status == 1 and "No such file or directory" in failed.err


@pytest.mark.limit(120)
def test_no_text_covers_another(world):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium")
    run_some_jobs(world)
    world.hq("journal", "report", "j.bin", "out.html")
    for width in (400, 1280):
        (world.work / "wrapper.html").write_text(WRAPPER % ("out.html", width))
        done = subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
                               "--virtual-time-budget=5000", "--dump-dom", f"file://{world.work}/wrapper.html"],
                              capture_output=True, text=True, timeout=50 * SLOW, env=world.env)
        result = json.loads(html.unescape(re.search(r'<pre id="result">(.*?)</pre>', done.stdout, re.S).group(1)))
        assert result["overlaps"] == [] and result["width"] <= width, f"{width} wide: {result}"
        assert result["boxes"] > 60 and result["paths"] >= 5 and result["runs"] > 36, result
