"""Stand-ins for a batch system: programs on PATH that answer as a real one does and keep the state of a small queue.

PBS answers in the texts, exit codes and JSON of a real OpenPBS 23 (tests/data/pbs); Slurm's stand-ins exist for faults that a
real one does not show on demand. The state is one JSON file under a lock; a test reads and changes it."""
import contextlib
import fcntl
import json
import os
import pwd
import sys

PROGRAM = r'''#!%(python)s
import fcntl, json, os, subprocess, sys, time
STATE = %(state)r
USER = %(user)r
name = os.path.basename(sys.argv[0])
args = sys.argv[1:]

class Locked:
    def __enter__(self):
        self.file = open(STATE, "r+")
        fcntl.flock(self.file, fcntl.LOCK_EX)
        self.data = json.load(self.file)
        return self.data
    def __exit__(self, *_):
        self.file.seek(0); self.file.truncate()
        json.dump(self.data, self.file)
        self.file.flush()
        self.file.close()

def die(code, text="", out=""):
    sys.stdout.write(out); sys.stderr.write(text)
    sys.exit(code)

def hang():
    while True:
        time.sleep(3600)

with Locked() as q:
    q["calls"].append([name, *args])
    fault = q["faults"].get(name)
    if isinstance(fault, list):
        fault = fault.pop(0) if fault else None
    down = q["down"]

def add_job(script, late=0):
    names = {}
    for line in open(script):
        if line.startswith("#SBATCH --job-name="): names["name"] = line.split("=", 1)[1].strip()
        if line.startswith("#PBS -N "): names["name"] = line.split()[2]
    with Locked() as q:
        q["next"] += 1
        number = str(q["next"]) + (".pbs01" if name == "qsub" else "")
        q["jobs"][number] = {"state": "PENDING" if name == "sbatch" else "Q", "script": script, "time": time.time(), "reason": "Priority",
                             "start": 0, "end": 0, "visible": time.time() + late, **names}
    return number

if fault == "hang":
    hang()
if fault == "kill":
    os.kill(os.getpid(), 9)

# ---- Slurm
if name == "sbatch":
    script = args[-1]
    if down:
        die(1, "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)\n")
    if fault == "reject":
        die(1, "sbatch: error: Batch job submission failed: Invalid partition name specified\n")
    if fault == "link":
        die(1, "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n")
    number = add_job(script, late=float(fault[5:]) if fault and fault.startswith("late:") else 0)
    if fault == "accept-then-kill":
        os.kill(os.getpid(), 9)
    if fault == "accept-then-hang" or (fault and fault.startswith("late:")):
        hang()
    if fault == "accept-then-fail":
        die(1, "sbatch: error: something else went wrong\n", "Submitted batch job " + number + "\n")
    if fault == "noise":
        die(0, "Warning: quota\n", "*** welcome ***\n\nSubmitted batch job " + number + "\nhave a nice day\n")
    if fault == "localised" and os.environ.get("LC_ALL") != "C":
        die(0, "", "Stapelauftrag " + number + " eingereicht\n")
    die(0, "", "Submitted batch job " + number + "\n")
if name == "squeue":
    if down:
        die(1, "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n")
    with Locked() as q:
        lines = []
        for i in range(q["crowd"]):
            lines.append("%%d|RUNNING|1700000000|1700000100|1700009999|None|/home/x/other%%d.sh" %% (900000 + i, i))
        lines += [q["lie"]] * q["lies"]
        for number, job in q["jobs"].items():
            if job["visible"] <= time.time() and not job.get("gone"):
                t = lambda v: str(int(v)) if v else "N/A"
                lines.append("|".join([number.split("#")[0], job["state"], t(job["time"]), t(job["start"]), t(job["end"]), job["reason"], job["script"]]))
    die(0, "", "\n".join(lines) + "\n")
if name == "scancel":
    if down:
        die(1, "scancel: error: Unable to contact slurm controller (connect failure)\n")
    with Locked() as q:
        job = q["jobs"].get(args[-1])
        if job is None or job.get("gone"):
            die(1, "scancel: error: Kill job error on job id %%s: Invalid job id specified\n" %% args[-1])
        if job["state"] in ("PENDING", "RUNNING"):
            job.update(state="CANCELLED", end=time.time())
    sys.exit(0)

# ---- PBS
REFUSED = "Connection refused\n%%s: cannot connect to server pbs01 (errno=15010)\n"
if name == "qsub":
    if down:
        die(162, REFUSED %% name)
    if fault == "reject":
        die(170, "qsub: Unknown queue\n")
    is_late = bool(fault and fault.startswith("late:"))
    number = add_job(args[-1], late=float(fault[5:]) if is_late else 0)
    if fault == "accept-then-hang" or is_late:
        hang()
    die(0, "", number + "\n")
if name == "qselect":
    if down:
        die(162, REFUSED %% name)
    if "-u" in args:  # what is over is shown with -x only
        is_asked = lambda j: args[-1] == USER and j["state"] != "F"
    else:
        is_asked = lambda j: j["name"] == args[-1]
    with Locked() as q:
        die(0, "", "".join(n + "\n" for n, j in q["jobs"].items() if is_asked(j) and j["visible"] <= time.time() and not j.get("gone")))
if name == "qstat":
    stamp = lambda v: time.strftime("%%a %%b %%d %%H:%%M:%%S %%Y", time.localtime(v))
    answer = {"timestamp": int(time.time()), "pbs_version": "23.06.06", "pbs_server": "pbs01"}
    if down:
        die(255, REFUSED %% name, json.dumps(answer, indent="\t"))
    ids = [a for a in args if a[0].isdigit()]
    if q["lie"]:
        die(0, "", q["lie"] * q["lies"])
    with Locked() as q:
        known = [n for n in ids if n in q["jobs"] and not q["jobs"][n].get("gone")]
        unknown = [n for n in ids if n not in known]
        if "-E" not in args:
            known = known[:1]  # only the first one comes back
        jobs = {}
        for n in known:
            j = q["jobs"][n]
            jobs[n] = {"Job_Name": j["name"], "job_state": j["state"], "ctime": stamp(j["time"]), "Submit_arguments": j["script"],
                       "substate": 10, "comment": j["reason"]}
            if j["start"]: jobs[n]["stime"] = stamp(j["start"])
            if j["end"]: jobs[n]["obittime"] = stamp(j["end"])
            if "exit" in j: jobs[n]["Exit_status"] = j["exit"]
        if jobs: answer["Jobs"] = jobs
    quiet = "-E" in args and known
    die(1 if fault == "exit" else 153 if unknown and not quiet else 0, "" if quiet else "".join("qstat: Unknown Job Id %%s\n" %% n for n in unknown), json.dumps(answer, indent="\t"))
if name == "qdel":
    if down:
        die(162, "Connection refused\nCouldn't connect to cluster: pbs01\n")
    with Locked() as q:
        job = q["jobs"].get(args[-1])
        if job is None or job.get("gone"):
            die(153, "qdel: Unknown Job Id %%s\n" %% args[-1])
        if job["state"] == "F":
            die(35, "qdel: Job has finished %%s\n" %% args[-1])
        job.update(state="F", end=time.time(), exit=271)
    sys.exit(0)
'''


class Batch:
    """The stand-ins in a directory of the world, which goes to the front of its PATH."""

    def __init__(self, world):
        self.dir = world.root / "batch"
        self.dir.mkdir()
        self.state = self.dir / "state.json"
        self.state.write_text(json.dumps({"next": 100, "jobs": {}, "calls": [], "faults": {}, "down": False, "crowd": 0, "lie": "", "lies": 0}))
        for name in ("sbatch", "squeue", "scancel", "qsub", "qstat", "qselect", "qdel"):
            path = self.dir / name
            path.write_text(PROGRAM % {"python": sys.executable, "state": str(self.state), "user": pwd.getpwuid(os.getuid()).pw_name})
            path.chmod(0o755)
        world.env["PATH"] = f"{self.dir}:{world.env['PATH']}"

    @contextlib.contextmanager
    def change(self):
        with open(self.state, "r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            data = json.load(file)
            yield data
            file.seek(0)
            file.truncate()
            json.dump(data, file)

    def read(self):
        with open(self.state, encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            return json.load(file)

    def jobs(self):
        return self.read()["jobs"]

    def live(self):
        return [n for n, job in self.jobs().items() if job["state"] in ("PENDING", "RUNNING", "Q", "R", "H") and not job.get("gone")]

    def calls(self, name):
        return [call[1:] for call in self.read()["calls"] if call[0] == name]

    def fault(self, **faults):
        """name = what it does, always, or a list: what its next calls do."""
        with self.change() as data:
            data["faults"].update(faults)

    def set_down(self, is_down):
        with self.change() as data:
            data["down"] = is_down

    def lie(self, line, count=1):
        """What status commands print besides (Slurm) or instead (PBS)."""
        with self.change() as data:
            data.update(lie=line, lies=count)

    def set(self, number, **values):
        with self.change() as data:
            data["jobs"][number].update(values)
