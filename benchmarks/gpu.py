"""All that waits for a GPU, in eight minutes at most: `make gpu`, or `PYTHONPATH=src python benchmarks/gpu.py`.

Five parts, the most valuable first, each in a process and with a time limit of its own: the CUDA tests, the engine's
bench, `fit` against the usual loop, the chapters in the full profile, and the phase map on a fine grid. What a part
prints goes to a log and its outcome to a JSON file as soon as it ends, in the folder that the environment variable OUT
names, or in _build/gpu; summary.md there holds all tables so far. A stop, wherever it comes, loses only what it stops.

It needs this checkout, and a Python with torch; a part that lacks a package is left out, and the summary names it. No
network is used. Without a GPU, `--device cpu --tiny` tries every part.
"""

import argparse
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 480  # seconds for everything
START = 30  # of them, to ask torch what there is
GRACE = 3  # between asking a part to end and ending it, and for that end to come
PROBE = ("import json, torch; has = torch.cuda.is_available(); print(json.dumps({'torch': torch.__version__, "
         "'gpu': torch.cuda.get_device_name() if has else None, 'cuda': torch.version.cuda}))")
OUTCOMES = ("PASSED", "FAILED", "SKIPPED", "ERROR")
HELPERS = ("torch", "numpy", "scipy", "pandas", "numba", "threadpoolctl", "psutil", "tqdm", "sklearn", "lazy_loader",
           "jaxtyping")


@dataclass(frozen=True)
class Part:
    """A command of this Python, its time limit in seconds, and the modules that it needs."""

    name: str
    title: str
    command: tuple
    limit: float
    needs: tuple = HELPERS


def parts(device, tiny):
    """The parts in order. Their limits, with what starting and ending takes, add up to at most LIMIT."""
    bench, extra = str(Path(__file__).parent), ("--device", device, *(["--tiny"] if tiny else []))
    here = str(Path(bench, "gpu_parts.py"))
    brief = () if tiny else ("--brief",)
    limits = {"tests": 70, "engine": 45, "training": 130, "chapters": 125, "map": 50}
    return [
        Part("tests", "CUDA tests", (here, "tests"), limits["tests"],
             (*HELPERS, "pytest", "hypothesis", "torchvision")),
        Part("engine", "The engine", (f"{bench}/engine.py", *extra), limits["engine"]),
        Part("training", "Training on images", (f"{bench}/training.py", *extra, *brief), limits["training"],
             (*HELPERS, "torchvision", "PIL")),
        Part("chapters", "Chapters in the full profile", (here, "chapters", *extra, "--seconds", limits["chapters"]),
             limits["chapters"], (*HELPERS, "matplotlib", "seaborn")),
        Part("map", "The phase map", (here, "map", *extra, "--seconds", limits["map"]), limits["map"])]


def folder():
    """Where results go."""
    return Path(os.environ.get("OUT") or ROOT / "_build" / "gpu")


def run(part, into, seconds):
    """Run a part for at most `seconds` seconds; returns its outcome, which is in `into` as well, even if the run is
    interrupted."""
    outcome = {"part": part.name, "title": part.title, "limit": seconds, "seconds": 0.0,
               "began": time.strftime("%Y-%m-%d %H:%M:%S")}
    missing = [name for name in part.needs if importlib.util.find_spec(name) is None]
    if missing:
        return keep(outcome | {"outcome": f"left out: no {', '.join(missing)}"}, into)
    keep(outcome | {"outcome": "under way"}, into)
    start, log = time.monotonic(), into / f"{part.name}.log"
    ended = "interrupted"
    try:
        ended = watch([sys.executable, *map(str, part.command)], log, seconds, into)
    finally:
        outcome |= {"outcome": ended, "seconds": round(time.monotonic() - start, 1), "table": table(log)}
        keep(outcome, into)
    return outcome


def watch(command, log, seconds, into):
    """Run a command with its output in the file `log`; how it ended, in words."""
    settings = {"PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1", "MPLBACKEND": "Agg", "OUT": str(into)}
    with log.open("w") as output:
        # The alarm outlives this process: should it be killed, its part ends all the same.
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=ROOT,
                                   env=os.environ | settings, start_new_session=True,
                                   preexec_fn=lambda: signal.alarm(int(seconds + 2 * GRACE) + 1))
    try:
        code = process.wait(seconds)
        return "done" if code == 0 else f"failed with exit status {code}"
    except subprocess.TimeoutExpired:
        return f"stopped after {seconds:.0f} s"
    finally:
        end(process)


def end(process):
    """End a process and all that it started: politely first, and after GRACE seconds without a choice."""
    for ending in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, ending)
            process.wait(GRACE)
        except ProcessLookupError:  # all of them are gone
            return
        except subprocess.TimeoutExpired:
            continue


def table(log):
    """The Markdown tables in a log, and the counts of pytest's outcomes."""
    lines = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
    rows = [line for line in lines if line.startswith("|")]
    tests = [found.groups() for line in lines if (found := re.match(rf"(\S+::.*?) ({'|'.join(OUTCOMES)})", line))]
    if tests:
        counts = [sum(outcome == word for _, outcome in tests) for word in OUTCOMES]
        rows += ["| passed | failed | skipped | errors |", "|---:|---:|---:|---:|"]
        rows += [f"| {' | '.join(map(str, counts))} |", ""]
        rows += [f"- {outcome}: `{name}`" for name, outcome in tests if outcome in ("FAILED", "ERROR")]
    return rows


def keep(outcome, into):
    """Write an outcome, whole or not at all."""
    path = into / f"{outcome['part']}.json"
    path.with_suffix(".part").write_text(json.dumps(outcome, indent=1, ensure_ascii=False) + "\n", "utf-8")
    path.with_suffix(".part").replace(path)
    return outcome


def summary(outcomes, machine):
    """All outcomes as Markdown."""
    lines = ["# On a GPU", "", f"Taken on: {machine}", "",
             "| part | outcome | seconds | limit |", "|---|---|---:|---:|"]
    lines += [f"| {one['title']} | {one['outcome']} | {one['seconds']:.0f} | {one['limit']:.0f} |" for one in outcomes]
    for one in outcomes:
        if one.get("table"):
            lines += ["", f"**{one['title']}.**", "", *one["table"]]
    return "\n".join(lines) + "\n"


def run_all(chosen, into, machine, deadline):
    """Run the parts in order, each as long as it may and the deadline allows; after each the summary is written."""
    into.mkdir(parents=True, exist_ok=True)
    for old in [*into.glob("*.json"), into / "summary.md"]:
        old.unlink(missing_ok=True)
    outcomes = []
    for part in chosen:
        seconds = max(0, min(part.limit, deadline - time.monotonic() - GRACE))
        print(f"{part.title}: at most {seconds:.0f} s", flush=True)
        try:
            outcomes.append(run(part, into, seconds))
        finally:
            paths = [into / f"{one.name}.json" for one in chosen]
            known = [json.loads(path.read_text("utf-8")) for path in paths if path.exists()]
            (into / "summary.md").write_text(summary(known, machine), "utf-8")
        print(f"  {outcomes[-1]['outcome']}, {outcomes[-1]['seconds']:.0f} s", flush=True)
    return outcomes


def probe():
    """What torch sees: its version, the GPU's name or None, its CUDA version."""
    if importlib.util.find_spec("torch") is None:
        sys.exit(f"gpu.py: {sys.executable} has no torch; name a Python that has: make gpu PYTHON=...")
    found = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=START)
    if found.returncode:
        sys.exit(f"gpu.py: torch does not start\n{found.stderr}")
    return json.loads(found.stdout.splitlines()[-1])


def described(found):
    """The machine and the state of the sources in words."""
    git = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True)
    commit = f"; commit {git.stdout.strip()}" if git.returncode == 0 else ""
    return (f"{found['gpu'] or 'no GPU'}, {os.cpu_count()} cores; Python {sys.version.split()[0]}, torch "
            f"{found['torch']}, CUDA {found['cuda'] or 'none'}{commit}; {time.strftime('%Y-%m-%d')}")


def main(arguments=None):
    deadline = time.monotonic() + LIMIT
    names = [part.name for part in parts("cuda", False)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="as little of each part as shows that it runs")
    parser.add_argument("--parts", nargs="+", choices=names, default=names, help="only these")
    options = parser.parse_args(arguments)
    found = probe()
    if options.device == "cuda" and not found["gpu"]:
        print("gpu.py: torch sees no GPU here; --device cpu --tiny tries every part without one", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to end like Ctrl-C, with a summary
    chosen = [part for part in parts(options.device, options.tiny) if part.name in options.parts]
    try:
        outcomes = run_all(chosen, folder(), described(found), deadline)
    except KeyboardInterrupt:
        print(f"interrupted; what was done is in {folder()}", file=sys.stderr)
        return 130
    print(f"\n{(folder() / 'summary.md').read_text('utf-8')}\nAll of it: {folder()}")
    return int(any(one["outcome"].startswith("failed") for one in outcomes))


if __name__ == "__main__":
    sys.exit(main())
