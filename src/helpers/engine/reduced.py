"""Exact gradient descent through inner products alone: the cost of a step does not depend on d.

With V = [mu; xi_1..xi_n], K = V V^T and weights W = W(0) + C V, the gradient reads the weights only through the
responses B = W V^T, and one step is B += S K, C += S with S of `decomposition_steps` (thm-reduced). Work:
4 m (n + 1)^2 flops per step and run. Memory: see `ReducedEngine.bytes_per_run`.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import scipy.linalg.cython_blas  # noqa: F401 (the BLAS that numba calls: loaded so that its threads can be limited)
import torch
from threadpoolctl import ThreadpoolController

from helpers import checks
from helpers.engine.engine_state import DIVERGED, EngineDiverged, EngineState
from helpers.engine.gram import InnerProducts, moved_weight_gram
from helpers.engine.network_decomposition import SIGNS, step_in_coordinates
from helpers.entry import entry


class ReducedEngine:
    """What the two engines on inner products share; each brings its own `advance`, and is then an `Engine`.

    Parameters
    ----------
    products
        of each run, all with the same n, m and number of test patches.
    lr
        the step size of each run.
    device, dtype
        where, and how precisely, the runs are trained.
    """

    @entry
    def __init__(self, products: Iterable[InnerProducts], lr: Sequence[float], device: torch.device,
                 dtype: torch.dtype) -> None:
        products = list(products)
        checks.require(len(products) > 0, "products", products, "of one run or more")
        shapes = {(one.responses.shape, one.test_responses.shape) for one in products}
        checks.require(len(shapes) == 1, "products", shapes, "of one shape")
        checks.require(len(lr) == len(products), "lr", lr, f"{len(products)} numbers, one per run")
        lr = [checks.positive("lr", one) for one in lr]
        checks.require(dtype.is_floating_point, "dtype", dtype, "torch.float64 or torch.float32")
        stack = {name: torch.stack([getattr(one, name) for one in products]).to(device, dtype).contiguous()
                 for name in ("gram", "responses", "weight_gram", "y", "y_obs", "test_gram", "test_responses")}
        self.gram = stack["gram"]
        self.start = stack["responses"]
        self.weight_gram = stack["weight_gram"]
        self.y = stack["y"]
        self.y_obs = stack["y_obs"]
        self.test_gram = stack["test_gram"]
        self.test_start = stack["test_responses"]
        _, _, self.m, columns = self.start.shape
        self.rate = torch.tensor(lr, dtype=dtype, device=device)[:, None] / ((columns - 1) * self.m)
        self.responses = self.start.clone()
        self.coefficients = torch.zeros_like(self.start)
        self.step = 0

    def state(self) -> EngineState:
        """The runs now. gamma and rho are the accumulated coefficients in the paper's normalisation."""
        squares = self.gram.diagonal(dim1=-2, dim2=-1)[:, None, None]
        signs = torch.tensor(SIGNS, dtype=self.start.dtype, device=self.start.device)[:, None, None]
        scaled = self.coefficients * squares
        filters = (x.flatten(1, 2) for x in (self.start, self.coefficients, self.responses))
        weight_gram = moved_weight_gram(self.weight_gram, *filters)
        tests = self.test_start + self.coefficients @ self.test_gram.mT[:, None]
        return EngineState(self.responses.clone(), (signs * scaled[..., :1])[..., 0], scaled[..., 1:], weight_gram,
                           tests)

    @staticmethod
    @entry
    def bytes_per_run(n: int, m: int, n_test: int, given_tests: int) -> int:
        """Peak working memory of one run, in bytes: K and its float64 source, the state and its copies (those inside
        CUDA graphs too), and the test draws."""
        for name, value in (("n", n), ("m", m)):
            checks.integer(name, value)
        for name, value in (("n_test", n_test), ("given_tests", given_tests)):
            checks.integer(name, value, 0)
        return 8 * (2 * (n + 1) * (n + 1 + given_tests) + 20 * 2 * m * (n + 1) + 4 * (2 * m) ** 2 + 8 * 2 * m * n_test)


class CompiledReducedEngine(ReducedEngine):
    """On the CPU: the time loop compiled by numba, one run per thread, so that a run's K stays in its core's cache."""

    @entry
    def __init__(self, products: Iterable[InnerProducts], lr: Sequence[float], device: torch.device,
                 dtype: torch.dtype) -> None:
        super().__init__(products, lr, device, dtype)
        self.threads = min(torch.get_num_threads(), len(self.start))
        self.blas = ThreadpoolController()
        flat = (x.flatten(1, 2).numpy() for x in (self.responses, self.coefficients))
        arrays = [self.gram.numpy(), *flat, self.y.numpy(), self.y_obs.numpy(), self.rate.numpy()[:, 0]]
        self.runs = list(zip(*arrays))  # views: the loop updates the tensors in place

    @entry
    def advance(self, steps: int) -> None:
        """Take `steps` gradient steps in every run. Raises `EngineDiverged`, with the step, if one diverges."""
        steps = checks.integer("steps", steps, 0)
        # The pool lives for this call only: threads that stay would be inherited, dead, by forked processes.
        with self.blas.limit(limits=1, user_api="blas"), ThreadPoolExecutor(self.threads) as pool:
            stopped = list(pool.map(lambda run: _descend_one(*run, steps), self.runs))
        for run, at in enumerate(stopped):
            if at >= 0:
                raise EngineDiverged(self.step + at, run)
        self.step += steps


def _compiled(function):
    """`function` compiled by numba: without the GIL, and with no reordering that would hide a NaN."""
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz", "arcp"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder for the cache can be written to: compile anew in each process
        return numba.njit(**options)(function)


@_compiled
def _descend_one(gram, responses, coefficients, y, y_obs, rate, steps):
    """`steps` updates of one run in place; the step at which it diverged, or -1.

    The arithmetic of `decomposition_steps`, fused: rows are filters (j = +1 first), column 0 is the signal.
    """
    rows, columns = responses.shape
    m = rows // 2
    number = responses.dtype.type  # constants in the arrays' own precision: float32 is not widened
    zero, one = number(0), number(1)
    outputs = np.empty(columns, responses.dtype)
    push = np.empty(columns, responses.dtype)
    update = np.empty_like(responses)
    moved = np.empty_like(responses)
    for step in range(steps):
        outputs[:] = zero  # f on each patch, times m; in column 0 on mu, the signal patch of y = +1
        minus = zero  # the same on -mu
        for row in range(rows):
            sign = one if row < m else -one
            for i in range(columns):
                outputs[i] += sign * max(responses[row, i], zero)
            minus += sign * max(-responses[row, 0], zero)
        push_plus = push_minus = size = zero
        for i in range(1, columns):
            positive = y[i - 1] > 0
            margin = y_obs[i - 1] * (outputs[i] + (outputs[0] if positive else minus)) / number(m)
            size += abs(margin)
            push[i] = rate * y_obs[i - 1] / (one + np.exp(margin))
            if positive:
                push_plus += push[i]
            else:
                push_minus -= push[i]
        if not size <= DIVERGED * (columns - 1):  # also true of NaN
            return step
        for row in range(rows):
            sign = one if row < m else -one
            on_signal = responses[row, 0]
            update[row, 0] = sign * (push_plus if on_signal > zero else (push_minus if on_signal < zero else zero))
            for i in range(1, columns):
                update[row, i] = sign * push[i] if responses[row, i] > zero else zero
            for i in range(columns):
                coefficients[row, i] += update[row, i]
        np.dot(update, gram, moved)
        for row in range(rows):
            for i in range(columns):
                responses[row, i] += moved[row, i]
    return -1


class TorchReducedEngine(ReducedEngine):
    """On any device: batched tensor operations; on CUDA captured in a graph, since launches dominate at these sizes."""

    BLOCK = 16  # steps in one graph

    @entry
    def __init__(self, products: Iterable[InnerProducts], lr: Sequence[float], device: torch.device,
                 dtype: torch.dtype) -> None:
        super().__init__(products, lr, device, dtype)
        self.done = torch.zeros((), dtype=torch.long, device=device)
        self.failed = torch.full((len(self.start),), torch.iinfo(torch.long).max, device=device)
        self.replay = {}

    @entry
    def advance(self, steps: int) -> None:
        """Take `steps` gradient steps in every run. Raises `EngineDiverged`, with the step, if one diverges."""
        steps = checks.integer("steps", steps, 0)
        blocks, single = divmod(steps, self.BLOCK)
        for length, count in ((self.BLOCK, blocks), (1, single)):
            for _ in range(count):
                self._take(length)
        self.step += steps
        failed = self.failed.tolist()
        for run, at in enumerate(failed):
            if at < self.step:
                raise EngineDiverged(at, run)

    def _take(self, length):
        if self.start.device.type != "cuda":
            return self._steps(length)
        if length not in self.replay:
            self.replay[length] = self._capture(length)
        self.replay[length].replay()

    def _capture(self, length):
        """Capture `length` steps. Warming up runs real steps, so the state is put back afterwards."""
        buffers = (self.responses, self.coefficients, self.done, self.failed)
        saved = [buffer.clone() for buffer in buffers]
        with torch.cuda.device(self.start.device):
            # One stream of this device for both: the default one belongs to the device of the process's first capture.
            stream = torch.cuda.Stream()
            current = torch.cuda.current_stream()
            graph = torch.cuda.CUDAGraph()
            stream.wait_stream(current)
            with torch.cuda.stream(stream):
                self._steps(length)
            current.wait_stream(stream)
            with torch.cuda.graph(graph, stream=stream):
                self._steps(length)
        for buffer, value in zip(buffers, saved):
            buffer.copy_(value)
        return graph

    def _steps(self, length):
        flat = self.responses.flatten(1, 2)
        for _ in range(length):
            update, margins = step_in_coordinates(self.responses, self.y, self.y_obs, self.rate)
            bad = ~(margins.abs().mean(-1) <= DIVERGED)
            torch.where(bad, torch.minimum(self.failed, self.done), self.failed, out=self.failed)
            flat.baddbmm_(update.flatten(1, 2), self.gram)
            self.coefficients += update
            self.done += 1


def reduced_engine(products: Iterable[InnerProducts], lr: Sequence[float], device: torch.device,
                   dtype: torch.dtype) -> CompiledReducedEngine | TorchReducedEngine:
    """The engine on inner products for `device`: compiled for the CPU, in tensors for a GPU."""
    return (CompiledReducedEngine if device.type == "cpu" else TorchReducedEngine)(products, lr, device, dtype)
