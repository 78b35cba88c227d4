"""Parts of benchmarks/gpu.py that are no bench of their own: python benchmarks/gpu_parts.py tests|chapters|map."""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EACH = 60  # seconds a chapter may take
RESERVE = 4  # seconds that a part keeps for its own end
BEGAN = time.monotonic()  # before anything large is imported, which counts too


# ---- tests

def cuda_tests():
    """The files that hold tests for a GPU: such a test has "cuda" in its name, or in its file's, or as its mark."""
    return [path for path in sorted((ROOT / "tests").rglob("test_*.py"))
            if "cuda" in path.name or re.search(r"def test_\w*cuda|mark\.cuda", path.read_text("utf-8"))]


def tests(options):
    # Warnings are errors in this book's tests; of another torch version they are none of the GPU's business.
    return subprocess.run([sys.executable, "-m", "pytest", *map(str, cuda_tests()), "-k", "cuda", "-v", "-rs",
                           "-W", "default", "-p", "no:cacheprovider", "--color=no"]).returncode


# ---- chapters

def cells(text):
    """Sources of the code cells of a MyST notebook, without their options."""
    flags = re.MULTILINE | re.DOTALL
    found = re.findall(r"^```\{code-cell\}[^\n]*\n(.*?)^```\s*$", text, flags)
    return [re.sub(r"\A(?:---\n.*?^---\n|(?::[\w-]+:[^\n]*\n)+)", "", one, flags=flags).strip("\n") for one in found]


def script(path):
    """A chapter as a program that says which cell it has come to."""
    sources = cells(path.read_text("utf-8"))
    return "\n".join(f"print('cell {k} of {len(sources)}', flush=True)\n{source}\n"
                     for k, source in enumerate(sources, 1)) + f"print('cells: all {len(sources)}', flush=True)\n"


def in_order(tiny):
    """The chapters, those that train networks on images first: they are what a GPU is for."""
    paths = sorted((ROOT / "nbs").glob("[0-9][0-9]_*.md"))
    if tiny:
        return paths[:2]
    return sorted(paths, key=lambda path: not re.search(r"helpers\.(training|experiments)", path.read_text("utf-8")))


def chapters(options):
    """Run the chapters side by side, each for at most EACH seconds; print a row when one ends."""
    deadline = BEGAN + options.seconds - RESERVE
    waiting, running, into = in_order(options.tiny), [], Path(os.environ["OUT"], "chapters")
    into.mkdir(parents=True, exist_ok=True)
    workers = max(1, min(8, (os.cpu_count() or 1) // 2))
    each, profile = (10, "quick") if options.tiny else (EACH, "full")
    print(f"| chapter, {profile} profile, {workers} side by side | seconds | came to |\n|---|---:|---|", flush=True)
    while waiting or running:
        while waiting and len(running) < workers and time.monotonic() < deadline:
            running.append(Chapter(waiting.pop(0), into, profile, workers))
        late = time.monotonic() >= deadline
        for one in list(running):
            if one.ended() or late or one.seconds() > each:
                running.remove(one)
                print(one.row(), flush=True)
        if late:
            break
        time.sleep(0.1)
    for path in waiting:
        print(f"| {path.stem} | | not begun |", flush=True)


class Chapter:
    """A chapter under way."""

    def __init__(self, path, into, profile, workers):
        self.name, self.start, self.log = path.stem, time.monotonic(), into / f"{path.stem}.log"
        program = into / f"{path.stem}.py"
        program.write_text(script(path), "utf-8")
        threads = max(1, (os.cpu_count() or 1) // workers)
        settings = {"SIGNAL_FIRST_PROFILE": profile, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
        with self.log.open("w") as output:
            self.process = subprocess.Popen([sys.executable, str(program)], stdout=output, stderr=subprocess.STDOUT,
                                            stdin=subprocess.DEVNULL, cwd=path.parent, env=os.environ | settings)

    def seconds(self):
        return time.monotonic() - self.start

    def ended(self):
        return self.process.poll() is not None

    def row(self):
        """How far it came; it is stopped if it has not ended."""
        seconds, code = self.seconds(), self.process.poll()
        if code is None:
            self.process.kill()
            self.process.wait()
        lines = self.log.read_text("utf-8", "replace").splitlines()
        place = [line for line in lines if re.match(r"cells?:? (all )?\d+", line)][-1:] or ["the start"]
        if code is None:
            return f"| {self.name} | > {seconds:.0f} | {place[0]}, stopped |"
        wrong = f", failed: {lines[-1][:200].replace('|', '/')}" if code and lines else ""
        return f"| {self.name} | {seconds:.0f} | {place[0]}{wrong} |"


# ---- phase map

def phase_map(options):
    """The phase map over c and tau on a fine grid, row by row, coarse before fine; each row is kept in map.csv."""
    import torch
    from phase_rows import GRID, TINY, Row, order

    device, sizes = torch.device(options.device), TINY if options.tiny else GRID
    print(f"{sizes.c} x {sizes.tau} x {sizes.runs} runs (c x tau x seeds) on {device}", flush=True)
    longest, done = 0.0, []
    with Path(os.environ["OUT"], "map.csv").open("w") as kept:
        print("c,flip_rate,stage_one,noisy_fitted,reused_best,reused_last", file=kept)
        for index in order(sizes.c):
            begun = time.monotonic()
            if begun - BEGAN + 1.2 * longest > options.seconds - RESERVE:
                break
            row = Row(sizes, index, device)
            done.append(row)
            print(*row.lines(), sep="\n", file=kept, flush=True)
            longest = max(longest, time.monotonic() - begun)
            print(f"row {len(done)} of {sizes.c}: c = {row.c:.3g}, {time.monotonic() - begun:.2f} s", flush=True)
    print(*report(done, sizes, time.monotonic() - BEGAN), sep="\n", flush=True)


def report(done, sizes, seconds):
    yield (f"| phase map {sizes.c} x {sizes.tau} x {sizes.runs} | rows done | runs | gradient steps | seconds | "
           "drawing, s | descent, s | µs a run and step |")
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    runs, steps = len(done) * sizes.tau * sizes.runs, sum(row.steps for row in done) * sizes.tau * sizes.runs
    drawing, descent = (sum(getattr(row, name) for row in done) for name in ("drawing", "descent"))
    yield (f"| n = {sizes.n}, m = {sizes.m}, float64 | {len(done)} of {sizes.c} | {runs:,} | {steps:,} | {seconds:.1f} "
           f"| {drawing:.1f} | {descent:.1f} | {1e6 * descent / max(steps, 1):.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("tests", "chapters", "map"))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    return {"tests": tests, "chapters": chapters, "map": phase_map}[options.part](options)


if __name__ == "__main__":
    sys.exit(main())
