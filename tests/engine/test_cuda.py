"""The same calls on a GPU. Without one these tests say so and are skipped."""

import numpy as np
import pytest
import torch
from records import ARRAYS, ERRORS, assert_same

from helpers import SignalNoise, descend
from helpers.data.datasets import _digit_arrays
from helpers.data.images import LabelledImages
from helpers.data.label_noise import add_label_noise
from helpers.engine import reduced
from helpers.engine.gram import inner_products
from helpers.engine.reduced import TorchReducedEngine
from helpers.training import checkpoints
from helpers.training.elr_plus import ELRPlus
from helpers.training.loop import fit, fit_side_by_side
from helpers.training.losses import CrossEntropy, ELRLoss
from helpers.training.models import ModelPair, PreActResNet, SmallCNN, SmallVGG, resnet, vgg
from helpers.training.recipe import Recipe

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")

SETTINGS = {"m": 3, "init_std": 0.05, "lr": 0.3, "steps": 60}
FLIPS = {"none": (0.0, 0.0), "equal": (0.1, 0.1), "unequal": (0.05, 0.2)}


@pytest.mark.parametrize("flips", FLIPS)
def test_cuda_gives_the_record_of_the_cpu(flips):
    law = SignalNoise(200, 2000, n_snr2=8.0, flip_plus=FLIPS[flips][0], flip_minus=FLIPS[flips][1])
    call = {"problem": [law, law.sample(9)], "m": 20, "init_std": 1e-3, "lr": 0.2, "steps": 1000, "seeds": range(4),
            "zeta": 0.1}
    # 1000 steps of rounding in another order; the errors are counts of 1000 and may differ by a tie.
    cpu, cuda = descend(**call), descend(**call, device="cuda")
    assert_same(cpu, cuda, 1e-9, ARRAYS)
    assert_same(cpu, cuda, 2e-3, ERRORS)
    assert cuda.config["ran_on"].startswith("cuda")


def test_cuda_explicit_engine_agrees_with_the_reduced_one(sample):
    explicit, fast = (descend(sample, **SETTINGS, seeds=[0, 1], engine=engine, device="cuda")
                      for engine in ("explicit", "reduced"))
    assert_same(explicit, fast, 1e-10, ARRAYS)


@pytest.mark.parametrize("steps", [1, 15, 16, 17, 100])
def test_cuda_graph_replay_is_the_eager_step(law, steps, monkeypatch):
    products = [inner_products(law, 3, 0.05, seed) for seed in range(4)]
    replayed, eager = (TorchReducedEngine(products, [0.3] * 4, torch.device("cuda"), torch.float64) for _ in range(2))
    monkeypatch.setattr(eager, "_take", eager._steps)
    for engine in (replayed, eager):
        engine.advance(steps)
        engine.advance(3)
    # The same kernels in the same order; cuBLAS is free to choose another algorithm while a graph is captured.
    torch.testing.assert_close(replayed.responses, eager.responses, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(replayed.coefficients, eager.coefficients, rtol=1e-12, atol=1e-12)
    assert int(replayed.done) == int(eager.done) == steps + 3


def test_cuda_batch_split_for_memory_leaves_the_same_record(law):
    call = {"problem": law, **SETTINGS, "seeds": range(6), "n_test": 100, "device": "cuda"}
    whole, split = descend(**call), descend(**call, memory=2 * reduced.ReducedEngine.bytes_per_run(20, 3, 100, 0))
    assert split.config["batch"] == 2
    assert_same(whole, split, 1e-11)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_cuda_names_the_step_at_which_a_run_diverged(law, dtype):
    steps = []
    for device in ("cpu", "cuda"):
        with pytest.raises(FloatingPointError, match="run 1 diverged") as caught:
            descend([law, law], 3, 0.05, [0.1, 1e7], 50, seeds=0, device=device, dtype=dtype, record_at=[50])
        steps.append(caught.value.step)
    assert steps[0] == steps[1]


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two CUDA devices on this machine")
def test_cuda_second_device_works_after_the_first(law):
    first, second = (descend(law, **SETTINGS, seeds=[0, 1], device=f"cuda:{index}") for index in range(2))
    assert_same(first, second, 1e-11)


# ---- training

SHAPE = (1, 8, 8)
NETWORKS = {"SmallCNN": lambda: SmallCNN(SHAPE, width=8, n_outputs=10), "ResNet": lambda: resnet(SHAPE, 10),
            "PreActResNet": lambda: PreActResNet(SHAPE, 10, blocks=(1, 1), width=8),
            "SmallVGG": lambda: SmallVGG(SHAPE, 10), "VGG": lambda: vgg(SHAPE, 10, width=8)}
DROP_NOTHING = {"SmallVGG": lambda: SmallVGG(SHAPE, 10, dropout=0.0),
                "VGG": lambda: vgg(SHAPE, 10, width=8, dropout=0.0)}
LOSSES = {"cross-entropy": CrossEntropy(), "ELR": ELRLoss(), "ELR+": ELRPlus(ramp=0)}


@pytest.fixture(scope="module")
def digits():
    names = tuple(map(str, range(10)))
    return add_label_noise(LabelledImages("ten digits", names, *_digit_arrays(200, 0)), 0.2, seed=0)


def trained(data, model, loss, build=NETWORKS, device="cuda", epochs=2, **options):
    """The record of a short run with everything that training may have on it; ELR+ trains two of the networks."""
    network = build[model]()
    if isinstance(loss, ELRPlus):
        network = ModelPair(network, build[model]())
    recipe = Recipe(epochs=epochs, lr=0.01, batch_size=64, weight_decay=1e-3, augment=True, loss=loss)
    return fit(network, data, recipe, 1, device=device, **options)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("model", NETWORKS)
def test_cuda_trains_as_the_cpu_does(digits, model, loss):
    """Up to rounding: a GPU's convolutions may round their factors to ten bits. Without dropout, whose masks differ."""
    build = NETWORKS | DROP_NOTHING
    cpu, cuda = (trained(digits, model, LOSSES[loss], build, device, precision="float32") for device in ("cpu", "cuda"))
    scale = abs(cpu.margins).mean()
    np.testing.assert_allclose(cuda.margins[:, 0], cpu.margins[:, 0], rtol=0, atol=0.02 * scale)
    assert abs(cuda.margins[:, -1] - cpu.margins[:, -1]).mean() < 0.1 * scale


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("model", NETWORKS)
def test_cuda_run_repeats_and_resumes(digits, model, loss, tmp_path):
    """In the precision that a GPU trains in by itself, with dropout and crops: the same numbers, bit for bit."""
    once, again = (trained(digits, model, LOSSES[loss]) for _ in range(2))
    assert np.array_equal(once.margins, again.margins) and np.isfinite(once.margins).all()

    def stop(epoch, network):
        if epoch == 1:
            raise KeyboardInterrupt

    path = tmp_path / "run.pt"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoints, "SECONDS", 0.0)
        trained(digits, model, LOSSES[loss], checkpoint=path, watch=stop)
    resumed = trained(digits, model, LOSSES[loss], checkpoint=path)
    assert path.exists() and np.array_equal(once.margins, resumed.margins)


def test_cuda_runs_side_by_side_are_the_runs_alone(digits):
    """Threads share the GPU, and torch's settings."""
    def run(seed):
        return fit(NETWORKS["SmallCNN"](), digits, Recipe(epochs=3, lr=0.01, augment=True), seed, device="cuda")

    assert np.array_equal(fit_side_by_side(run, range(4)).margins[2], run(2).margins[0])
