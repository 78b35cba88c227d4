"""Speed, accuracy and memory of the engine on this machine, as one Markdown table: `python benchmarks/engine.py`.

Times are of the paper's size, n = 200 samples and m = 20 filters of each sign. "Step" rows time the bare loop
(`engine.advance`); "call" rows time a whole `descend`, set-up and recording at 50 log-spaced times included. What is
compared is measured in turn, round after round, and each time is the best of its rounds: others' load only adds.
`--device cuda` prints only what the GPU adds to the table; `--device cpu --tiny` tries that without one.
"""

import argparse
import os
import platform
import time
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

from helpers import SignalNoise, descend
from helpers.engine.explicit import ExplicitEngine
from helpers.engine.gram import inner_products
from helpers.engine.network_decomposition import decomposition_steps
from helpers.engine.reduced import CompiledReducedEngine, ReducedEngine, TorchReducedEngine
from helpers.runtime import cpu_name

N, M, RUNS, STEPS = 200, 20, 64, 1000
FLOPS = 4 * M * (N + 1) ** 2  # of a reduced step: one product (2m, n + 1) x (n + 1, n + 1)
CPU = torch.device("cpu")
DTYPES = (torch.float64, torch.float32)


def law(d):
    """The distribution at dimension d, with the settings of `descend` that make its time scale the same at all d."""
    return SignalNoise(N, d, n_snr2=8.0, flip_plus=0.1, flip_minus=0.1), M, 1e-3 * (2000 / d) ** 0.5, 0.1 * M * N / d


def best_of(rounds, actions):
    """Shortest time of each action, in seconds; the actions take turns, after one turn to warm up."""
    for action in actions.values():
        action()
    times = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            times[name].append(time.perf_counter() - start)
    return {name: min(values) for name, values in times.items()}


class ByHand:
    """The explicit step without autograd, with mu used once and not n times: what care alone gains."""

    def __init__(self, sample, init_std, lr, dtype):
        self.weight = init_std * torch.randn(2, M, sample.d, dtype=dtype, generator=torch.Generator().manual_seed(0))
        self.vectors, self.y, self.y_obs = (x.to(dtype) for x in (sample.vectors, sample.y, sample.y_obs))
        self.rate = torch.tensor([lr / (N * M)], dtype=dtype)

    def advance(self, steps):
        for _ in range(steps):
            update, _ = decomposition_steps(self.weight @ self.vectors.T, self.y, self.y_obs, self.rate)
            self.weight.flatten(0, 1).addmm_(update.flatten(0, 1), self.vectors)


def steps_of(engine, steps):
    return lambda: engine.advance(steps)


def bare_steps(dtype):
    """Seconds a run and step of each engine, and of one 2048^2 matrix product."""
    factor = torch.randn(2048, 2048, dtype=dtype, generator=torch.Generator().manual_seed(0))
    count, actions = {"product": 1}, {"product": lambda: factor @ factor}
    for d, steps in ((2000, 40), (20_000, 4)):
        problem, _, init_std, lr = law(d)
        sample = problem.sample(0)
        explicit = ExplicitEngine([sample], M, [init_std], [lr], [0], CPU, dtype)
        for name, engine in (("explicit", explicit), ("hand", ByHand(sample, init_std, lr, dtype))):
            actions[name, d], count[name, d] = steps_of(engine, steps), steps
    problem, _, init_std, lr = law(2000)
    for runs, steps in ((1, 500), (RUNS, 50)):
        products = [inner_products(problem, M, init_std, seed) for seed in range(runs)]
        actions["reduced", runs] = steps_of(CompiledReducedEngine(products, [lr] * runs, CPU, dtype), steps)
        count["reduced", runs] = steps * runs
    return {name: seconds / count[name] for name, seconds in best_of(7, actions).items()}


def whole_calls():
    """Seconds a run and step of whole calls of descend; and by how much the engines' records differ."""
    problem, *settings = law(2000)
    sample, records = problem.sample(0), {}

    def call(name, problem, settings, seeds, **options):
        def action():
            records[name] = descend(problem, *settings, STEPS, seeds, **options)
        return action

    actions = {"explicit": call("explicit", sample, settings, 0, engine="explicit"),
               "reduced": call("reduced", sample, settings, range(RUNS)),
               "reduced float32": call("reduced float32", sample, settings, range(RUNS), dtype=torch.float32)}
    for d in (10**4, 10**9):
        actions[d] = call(d, *(lambda problem, *settings: (problem, settings))(*law(d)), range(RUNS))
    seconds = best_of(3, actions)
    times = {name: value / STEPS / (1 if name == "explicit" else RUNS) for name, value in seconds.items()}
    agreement = {name: float(np.abs(getattr(records["explicit"], name)[0] - getattr(records["reduced"], name)[0]).max())
                 for name in ("margins", "gamma", "rho", "gamma_final", "rho_final")}
    return times, agreement


def tensor_steps(dtype, device, batches, steps, rounds):
    """Seconds a run and step of the tensor engine on `device`, and of one 2048^2 product there."""
    device = torch.device(device)
    factor = torch.randn(2048, 2048, dtype=dtype, device=device)
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    repeated = 100 if device.type == "cuda" else 1
    problem, _, init_std, lr = law(2000)

    def products():
        for _ in range(repeated):
            factor @ factor
        wait()

    actions, count = {"product": products}, {"product": repeated}
    for runs in batches:
        inner = [inner_products(problem, M, init_std, seed) for seed in range(runs)]
        actions["reduced", runs] = steps_of(TorchReducedEngine(inner, [lr] * runs, device, dtype), steps)
        count["reduced", runs] = steps * runs
    return {name: seconds / count[name] for name, seconds in best_of(rounds, actions).items()}


def peak_memory():
    """Bytes a run by which a batch raised this process's peak memory; None where the system (not Linux) hides it."""
    problem, *settings = law(2000)
    descend(problem, *settings, 2, 0)
    status = Path("/proc/self/status")
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is in use now
        before = _kilobytes(status, "VmHWM")
    except OSError:
        return None
    descend(problem, *settings, 2, range(RUNS))
    return 1024 * (_kilobytes(status, "VmHWM") - before) / RUNS


def _kilobytes(status, field):
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(field))


def machine():
    """The machine and the software in words."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "numpy", "numba", "scipy"))
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no GPU"
    return (f"{cpu_name()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads{gpu}; Python "
            f"{platform.python_version()}, {versions}; load average at the start {os.getloadavg()[0]:.1f}")


def row(what, values, target="", form="{:.0f}"):
    """A line of the table: a value in float64 and one in float32, or only the first."""
    shown = [form.format(value) if value is not None else "" for value in (*values, None)[:2]]
    return f"| {what} | {shown[0]} | {shown[1]} | {target} |"


def table():
    """All rows."""
    memory = peak_memory()
    bare = [bare_steps(dtype) for dtype in DTYPES]
    whole, agreement = whole_calls()
    both = lambda read: [read(times) for times in bare]  # noqa: E731
    yield f"| n = {N}, m = {M} | float64 | float32 | target in float64 |"
    yield "|---|---:|---:|---|"
    for d in (2000, 20_000):
        yield row(f"explicit step, d = {d:,}, µs", both(lambda t, d=d: 1e6 * t["explicit", d]))
        yield row("the same by hand, without autograd, µs", both(lambda t, d=d: 1e6 * t["hand", d]))
    yield row("reduced step, any d, 1 run, µs", both(lambda t: 1e6 * t["reduced", 1]), form="{:.1f}")
    yield row(f"reduced step, any d, {RUNS} runs, µs a run", both(lambda t: 1e6 * t["reduced", RUNS]), form="{:.1f}")
    yield row("explicit call, d = 2,000, µs a step", [1e6 * whole["explicit"]])
    yield row(f"reduced call, d = 2,000, {RUNS} runs, µs a run and step",
              [1e6 * whole["reduced"], 1e6 * whole["reduced float32"]], form="{:.1f}")
    for d, target in ((2000, "at least 25"), (20_000, "at least 200")):
        yield row(f"step, explicit / reduced of {RUNS} runs, d = {d:,}",
                  both(lambda t, d=d: t["explicit", d] / t["reduced", RUNS]), target)
        yield row(f"step, by hand / reduced of {RUNS} runs, d = {d:,}",
                  both(lambda t, d=d: t["hand", d] / t["reduced", RUNS]))
    yield row(f"call, explicit / reduced of {RUNS} runs, d = 2,000", [whole["explicit"] / whole["reduced"]],
              "at least 25")
    yield row(f"call, reduced of {RUNS} runs, d = 10⁹ / d = 10⁴", [whole[10**9] / whole[10**4]], "0.9 to 1.1", "{:.2f}")
    yield row("matrix product 2048², GFLOP/s", both(lambda t: 2 * 2048**3 / t["product"] / 1e9))
    yield row(f"reduced step, {RUNS} runs, GFLOP/s", both(lambda t: FLOPS / t["reduced", RUNS] / 1e9))
    yield row("their ratio", both(lambda t: FLOPS / t["reduced", RUNS] / (2 * 2048**3 / t["product"])),
              "at least 0.60", "{:.2f}")
    for name, difference in agreement.items():
        yield row(f"largest difference of {name}, explicit and reduced, {STEPS:,} steps", [difference], "at most 1e-10",
                  "{:.0e}")
    bound = ReducedEngine.bytes_per_run(N, M, 1000, 0) / 2**20
    yield row(f"memory of a run in a batch of {RUNS}, MiB", [memory and memory / 2**20],
              f"at most {bound:.1f}, which is planned for", "{:.1f}")
    if torch.cuda.is_available():
        yield from device_rows("cuda")


def device_rows(device, batches=(1, RUNS, 16 * RUNS), steps=320, rounds=5):
    """What a device adds to the table: the tensor engine there."""
    name = "GPU" if device == "cuda" else "tensor engine on the CPU"
    times = [tensor_steps(dtype, device, batches, steps, rounds) for dtype in DTYPES]
    for runs in batches:
        own = [1e6 * t["reduced", runs] for t in times]
        yield row(f"{name}: reduced step, {runs} runs, µs a run", own, form="{:.2f}")
    yield row(f"{name}: matrix product 2048², GFLOP/s", [2 * 2048**3 / t["product"] / 1e9 for t in times])
    yield row(f"{name}: reduced step, {batches[-1]} runs, GFLOP/s",
              [FLOPS / t["reduced", batches[-1]] / 1e9 for t in times])


def device_table(device, tiny):
    yield f"| n = {N}, m = {M} | float64 | float32 | target in float64 |"
    yield "|---|---:|---:|---|"
    yield from device_rows(device, *(((1, 4), 16, 1) if tiny else ()))


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), help="only the tensor engine on this device")
    parser.add_argument("--tiny", action="store_true", help="with --device: as little as shows that it runs")
    return parser.parse_args()


if __name__ == "__main__":
    chosen = options()
    print(machine(), end="\n\n", flush=True)
    for line in table() if chosen.device is None else device_table(chosen.device, chosen.tiny):
        print(line, flush=True)
