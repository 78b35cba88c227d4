"""The training core: several classes, losses, augmentation, step sizes, precision, checkpoints, architectures."""

import copy
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, softplus

from helpers.data.images import LabelledImages, load_digits
from helpers.data.label_noise import add_label_noise
from helpers.record import Record
from helpers.runtime import CHECKPOINTS_VARIABLE
from helpers.training import checkpoints, losses
from helpers.training.batches import PADDING, DeviceImages
from helpers.training.checkpoints import CheckpointError
from helpers.training.elr_plus import ELRPlus
from helpers.training.loop import Recipe, fit
from helpers.training.losses import ELR, CrossEntropy
from helpers.training.models import Dropout, Pair, PreActResNet, SmallCNN, resnet, vgg
from helpers.training.predictions import outputs, standardise

SHORT = Recipe(epochs=3, lr=0.05, batch_size=32)


def images(n_classes=3, n=120, n_test=60, channels=1, side=8, seed=0):
    """Noise with a bright column whose place tells the class."""
    rng = np.random.default_rng(seed)
    index = np.arange(n + n_test) % n_classes
    x = 0.5 * rng.random((n + n_test, channels, side, side))
    x[np.arange(n + n_test), :, :, index] += 0.4
    y = np.where(index == 1, 1.0, -1.0) if n_classes == 2 else index
    names = tuple(f"column {k}" for k in range(n_classes))
    return LabelledImages("columns", names, x[:n], y[:n], x[n:], y[n:])


@pytest.fixture(scope="module")
def three():
    return add_label_noise(images(), 0.2, seed=0)


def small_cnn(data, seed=0):
    return SmallCNN(data.image_shape, width=8, seed=seed, n_outputs=data.n_classes)


NETWORKS = {"small CNN": small_cnn,
            "VGG with dropout": lambda data, seed=0: vgg(data.image_shape, data.n_classes, width=4, seed=seed),
            "PreAct ResNet": lambda data, seed=0: PreActResNet(data.image_shape, data.n_classes, blocks=(1, 1),
                                                               width=4, seed=seed),
            "pair under ELR+": lambda data: Pair(small_cnn(data, 0), NETWORKS["PreAct ResNet"](data, 1))}


# ---- several classes

def test_record_of_several_classes_is_a_fresh_forward_pass(three):
    model = small_cnn(three)
    record = fit(model, three, SHORT, 0, n_val=20)
    x, x_test = (torch.from_numpy(part) for part in standardise(three.x, three.x_test))
    with torch.no_grad():
        logits, test = model(x), model(x_test).argmax(1).numpy()
    nll = cross_entropy(logits, torch.from_numpy(three.y_obs), reduction="none")
    np.testing.assert_allclose(record.losses[0, -1], nll, rtol=1e-4, atol=1e-5)  # float32, in other batches
    assert np.array_equal(record.predictions[0, -1], logits.argmax(1).numpy())
    assert record.fresh_error[0, -1] == np.mean(test[:40] != three.y_test[:40])
    assert record.validation_observed_error[0, -1] == np.mean(test[40:] != three.y_test_obs[40:])
    assert np.array_equal(record.fits_true[0], record.predictions[0] == three.y)
    assert record.test_sizes == {"fresh": 40, "observed": 40, "validation": 20, "validation_observed": 20}


def test_one_output_and_two_logits_are_the_same_network(three):
    """softmax of (0, f) is the logistic function of f: the same margins all along, up to rounding."""
    class TwoLogits(SmallCNN):
        def forward(self, x):
            return losses.as_logits(super().forward(x))

    data = add_label_noise(images(2), 0.2, seed=0)
    one, two = (fit(kind(data.image_shape, width=8), data, SHORT, 0) for kind in (SmallCNN, TwoLogits))
    np.testing.assert_allclose(one.margins, two.margins, rtol=1e-3, atol=1e-4)
    assert np.array_equal(one.fresh_error, two.fresh_error) and two.predictions is None
    assert np.abs(one.margins[0, -1] - one.margins[0, 0]).max() > 0.5  # it moved


@pytest.mark.parametrize(("n_classes", "n_outputs", "wanted"), [
    (3, 2, r"\(120, 3\)"), (2, 3, r"\(120, 2\) or \(120,\)")])
def test_outputs_of_another_shape_are_refused(n_classes, n_outputs, wanted):
    data = images(n_classes)
    with pytest.raises(ValueError, match=f"model=.*{n_outputs}.*{wanted}"):
        fit(SmallCNN(data.image_shape, width=4, n_outputs=n_outputs), data, SHORT, 0)


def test_dropout_of_torch_is_refused_and_ours_is_named(three):
    model = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(64, 3))
    with pytest.raises(ValueError, match="Dropout instead"):
        fit(model, three, SHORT, 0)


# ---- losses

@pytest.fixture(scope="module")
def batch():
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 4, generator=rng, dtype=torch.float64).requires_grad_()
    return logits, torch.tensor([0, 1, 2, 3, 0, 1]), torch.tensor([5, 3, 9, 0, 1, 2])


def test_cross_entropy_of_margins(batch):
    """log(1 + exp(-margin)) is the cross-entropy, for logits and for one output."""
    logits, labels, index = batch
    loss = CrossEntropy().start(10, 4)
    torch.testing.assert_close(softplus(-losses.margins(logits, labels)).mean(), loss(logits, labels, index))
    f, sides = logits[:, 0], labels % 2
    torch.testing.assert_close(softplus(-losses.margins(f, sides)).mean(), loss(f, sides, index))
    torch.testing.assert_close(cross_entropy(losses.as_logits(f), sides), loss(f, sides, index))


def test_elr_is_the_formula_and_its_gradient_that_of_lemma_2(batch):
    """After two passes: targets are running means from zero of the batch's own rows, the loss and gradient are the
    paper's."""
    logits, labels, index = batch
    loss = ELR(strength=3.0, momentum=0.7).start(10, 4)
    loss.targets = loss.targets.double()
    p = logits.softmax(1).detach()
    loss(logits, labels, index)
    value = loss(logits, labels, index)
    target = (0.7 * 0.3 + 0.3) * p
    torch.testing.assert_close(loss.targets[index], target, rtol=1e-5, atol=1e-7)  # softmax in float32
    others = [i for i in range(10) if i not in index.tolist()]
    assert not loss.targets[others].any()
    expected = cross_entropy(logits, labels) + 3 * torch.log(1 - (p * target).sum(1)).mean()
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-6)
    (gradient,) = torch.autograd.grad(value, logits)
    lemma = p - nn.functional.one_hot(labels, 4) + 3 * losses.elr_gradient(p, target)
    torch.testing.assert_close(gradient, lemma / 6, rtol=1e-4, atol=1e-6)


def test_elr_of_strength_0_is_cross_entropy(three):
    plain, regularised = (fit(small_cnn(three), three, replace(SHORT, loss=loss), 0)
                          for loss in (CrossEntropy(), ELR(strength=0.0)))
    np.testing.assert_allclose(plain.margins, regularised.margins, rtol=1e-3, atol=1e-4)
    strong = fit(small_cnn(three), three, replace(SHORT, loss=ELR()), 0)
    assert np.abs(strong.margins - plain.margins).max() > 0.1


def test_elr_accepts_one_output():
    data = add_label_noise(images(2), 0.2, seed=0)
    record = fit(SmallCNN(data.image_shape, width=8), data, replace(SHORT, loss=ELR()), 0)
    assert "ELR(strength=3.0, momentum=0.7)" in record.config["recipe"]["loss"]


# ---- ELR+

def pair(data, seeds=(0, 1)):
    return Pair(*(small_cnn(data, seed) for seed in seeds))


def test_a_pair_answers_with_the_mean_of_both(three):
    model, x = pair(three), torch.from_numpy(three.x)
    both = torch.stack([network(x).softmax(1) for network in model.networks])
    torch.testing.assert_close(model(x).softmax(1), both.mean(0))
    torch.testing.assert_close(model(x).exp(), both.mean(0))


def test_elr_plus_of_twins_without_its_additions_is_elr(three):
    """Two equal networks, no mixup, no memory of the weights: the other network says what one's own does."""
    plus = ELRPlus(average=0.0, mixup=0.0, ramp=0)
    twins = fit(pair(three, (0, 0)), three, replace(SHORT, loss=plus), 0)
    single = fit(small_cnn(three), three, replace(SHORT, loss=ELR()), 0)
    np.testing.assert_allclose(twins.margins, single.margins, rtol=1e-3, atol=1e-4)
    for change in ({"mixup": 1.0}, {"average": 0.9}):
        other = fit(pair(three, (0, 0)), three, replace(SHORT, loss=replace(plus, **change)), 0)
        assert np.abs(other.margins - single.margins).max() > 1e-3


def test_targets_of_elr_plus_come_from_the_other_networks_mean(three):
    """One step by hand: targets, mixed loss, and the running mean of the weights after two steps."""
    model = pair(three)
    loss = ELRPlus(average=0.5, ramp=0, mixup=1.0).start(three.n, 3, "cpu", model)
    x, index = torch.from_numpy(three.x[:8]), torch.arange(8)
    labels = torch.from_numpy(three.y_obs[:8])
    said = [network(x).softmax(1).detach() for network in model.networks]
    value = loss.of_model(model, x, labels, index, np.random.default_rng(0))
    torch.testing.assert_close(loss.targets[:, :8], 0.3 * torch.stack(said[::-1]))
    assert not loss.targets[:, 8:].any()
    rng, expected = np.random.default_rng(0), 0.0
    for k, network in enumerate(model.networks):
        share = rng.beta(1, 1)
        share, order = max(share, 1 - share), torch.from_numpy(rng.permutation(8))
        log_p = network(share * x + (1 - share) * x[order]).log_softmax(1)
        target = share * loss.targets[k, :8] + (1 - share) * loss.targets[k, order]
        pick = lambda y, log_p=log_p: log_p.gather(1, y[:, None])[:, 0]  # noqa: E731
        expected += -(share * pick(labels) + (1 - share) * pick(labels[order])).mean()
        expected += 3 * torch.log(1 - (log_p.exp() * target).sum(1)).mean()
    torch.testing.assert_close(value, expected)
    weights, means = [], []
    for step in range(3):
        loss.after_step(model)
        weights.append(model.networks[0].layers[0].weight.detach().clone())
        means.append(loss.averaged[0].module.layers[0].weight.clone())
        with torch.no_grad():
            model.networks[0].layers[0].weight.add_(0.1 * (step + 1))
    torch.testing.assert_close(means[2], (weights[0] + weights[1]) / 4 + weights[2] / 2)


def test_the_ramp_of_elr_plus():
    loss = ELRPlus(average=0.997, ramp=100)
    assert loss.average_at(0) == pytest.approx(0.997 * np.exp(-5)) and loss.average_at(50) < 0.5
    assert loss.average_at(100) == loss.average_at(1000) == 0.997


def test_elr_plus_needs_a_pair(three):
    with pytest.raises(ValueError, match=r"model=.*models\.Pair"):
        fit(small_cnn(three), three, replace(SHORT, loss=ELRPlus()), 0)


# ---- augmentation

def test_augmented_images_are_crops_and_mirror_images():
    """Each is one of the 81 crops of its padded image or of their mirror images, and about half are mirrored."""
    x = np.random.default_rng(0).random((40, 2, 8, 8)).astype(np.float32)
    augmented = DeviceImages(x, torch.device("cpu"), augment=True).batch(torch.arange(40), np.random.default_rng(1))
    padded = np.pad(x, ((0, 0), (0, 0), (PADDING, PADDING), (PADDING, PADDING)))
    mirrored = 0
    for image, around in zip(augmented.numpy(), padded):
        crops = {around[:, i:i + 8, j:j + 8].tobytes() for i in range(9) for j in range(9)}
        plain, turned = image.tobytes() in crops, np.ascontiguousarray(image[..., ::-1]).tobytes() in crops
        assert plain or turned
        mirrored += turned
    assert 8 <= mirrored <= 32  # 20 expected, within four standard deviations of 3.2


def test_augmentation_trains_on_changed_images_and_measures_the_true_ones(three):
    seen = []

    class Watching(SmallCNN):
        def forward(self, x):
            seen.append((self.training, x.detach().clone()))
            return super().forward(x)

    plain, augmented = (fit(Watching(three.image_shape, width=4, n_outputs=3), three, replace(SHORT, augment=augment),
                            0)
                        for augment in (False, True))
    measured = [x for training, x in seen if not training]
    half = len(measured) // 2
    assert half and all(torch.equal(a, b) for a, b in zip(measured[:half], measured[half:]))
    trained = [x for training, x in seen if training]
    half = len(trained) // 2
    assert all(a.shape == b.shape and not torch.equal(a, b) for a, b in zip(trained[:half], trained[half:]))
    epoch = len(trained[half:]) // 3  # batches an epoch: crops differ from epoch to epoch
    assert not torch.equal(trained[half], trained[half + epoch])
    again = fit(SmallCNN(three.image_shape, width=4, n_outputs=3), three, replace(SHORT, augment=True), 0)
    assert np.array_equal(again.margins, augmented.margins) and not np.array_equal(plain.margins, augmented.margins)


def test_batches_are_channels_last(three):
    for augment in (False, True):
        store = DeviceImages(three.x.repeat(3, 1), torch.device("cpu"), augment=augment)
        x = store.batch(torch.arange(5), np.random.default_rng(0))
        assert x.is_contiguous(memory_format=torch.channels_last)


# ---- step sizes

def test_step_sizes():
    steps = Recipe(epochs=6, lr=0.1, milestones=(2, 4), decay=0.1)
    np.testing.assert_allclose([steps.lr_at(epoch) for epoch in range(6)], [0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    cosine = Recipe(epochs=8, lr=0.1, restart_every=4, lowest_lr=0.02)
    rates = [cosine.lr_at(epoch) for epoch in range(8)]
    np.testing.assert_allclose(rates[:4], rates[4:])
    np.testing.assert_allclose(rates[:3], [0.1, 0.02 + 0.04 * (1 + 2**-0.5), 0.06])
    assert Recipe(lr=0.3).lr_at(7) == 0.3


def test_a_milestone_acts_on_training(three):
    """With a step size of almost 0 from the second epoch on, the weights stand still there, and only there."""
    record = fit(small_cnn(three), three, replace(SHORT, momentum=0.0, milestones=(1,), decay=1e-12), 0)
    assert np.abs(record.margins[0, 1] - record.margins[0, 0]).max() > 0.02
    np.testing.assert_allclose(record.margins[0, 3], record.margins[0, 1], atol=1e-5)


@pytest.mark.parametrize("change", [
    {"milestones": (3, 2)}, {"milestones": (99,)}, {"decay": 0.0}, {"restart_every": -1}, {"lowest_lr": 0.2},
    {"augment": "yes"}, {"loss": "cross-entropy"}, {"milestones": (2,), "restart_every": 2}])
def test_more_bad_recipes_are_named(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        Recipe(lr=0.1, **change)


@pytest.mark.parametrize("change", [
    {"strength": -1.0}, {"momentum": 1.0}, {"average": 1.0}, {"ramp": -1}, {"mixup": -1.0}])
def test_bad_elr_is_named(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        ELRPlus(**change)


# ---- precision

def test_bfloat16_trains_nearby_and_measures_in_float32(three):
    plain, model = fit(small_cnn(three), three, SHORT, 0), small_cnn(three)
    record = fit(model, three, SHORT, 0, precision="bfloat16")
    assert record.config["precision"] == "bfloat16" and plain.config["precision"] == "float32"
    assert not np.array_equal(record.margins[0, -1], plain.margins[0, -1])
    np.testing.assert_allclose(record.margins[0, 1], plain.margins[0, 1], atol=0.1)  # 8 bits of mantissa, 4 steps
    x = torch.from_numpy(standardise(three.x, three.x_test)[0])
    margins = losses.margins(outputs(model, x, n_classes=3), torch.from_numpy(three.y_obs)).numpy()
    np.testing.assert_allclose(record.margins[0, -1], margins, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="precision"):
        fit(small_cnn(three), three, SHORT, 0, precision="half")


# ---- checkpoints

RECIPES = {"small CNN": replace(SHORT, epochs=5, augment=True, loss=ELR()),
           "VGG with dropout": replace(SHORT, epochs=5, milestones=(2,)),
           "PreAct ResNet": replace(SHORT, epochs=5, restart_every=2, augment=True),
           "pair under ELR+": replace(SHORT, epochs=5, loss=ELRPlus(ramp=10))}


class Killed(Exception):
    pass


def killed_at(epoch):
    def watch(now, model):
        if now == epoch:
            raise Killed
    return watch


@pytest.mark.parametrize("name", NETWORKS)
def test_a_killed_run_resumes_and_ends_with_the_same_numbers(name, three, tmp_path, monkeypatch):
    """Bit for bit: with dropout, batch normalisation, momentum, targets of ELR, augmentation and both schedules."""
    build, recipe, path = NETWORKS[name], RECIPES[name], tmp_path / "run.pt"
    whole = build(three)
    expected = fit(whole, three, recipe, 3)
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    for epoch in (2, 4):
        with pytest.raises(Killed):
            fit(build(three), three, recipe, 3, checkpoint=path, watch=killed_at(epoch))
    torch.manual_seed(99)
    model, trained = build(three), []
    first = getattr(model, "networks", [model])[0]
    first.register_forward_hook(lambda module, x, f: trained.append(module.training))
    record = fit(model, three, recipe, 3, checkpoint=path)
    assert sum(trained) == 4  # the batches of one epoch: it did not begin anew
    assert np.array_equal(record.margins, expected.margins) and np.array_equal(record.predictions, expected.predictions)
    assert np.array_equal(record.fresh_error, expected.fresh_error)
    for one, other in zip(whole.state_dict().values(), model.state_dict().values()):
        assert torch.equal(one, other)
    assert [path] == list(tmp_path.iterdir())  # no temporary file stays


def test_a_finished_run_is_read_and_not_trained_again(three, tmp_path):
    path = tmp_path / "run.pt"
    record = fit(small_cnn(three), three, SHORT, 0, checkpoint=path)
    model, calls = small_cnn(three), []
    model.register_forward_hook(lambda *_: calls.append(1))
    again = fit(model, three, SHORT, 0, checkpoint=path)
    assert not calls and np.array_equal(again.margins, record.margins)
    assert again.config["seconds"] == record.config["seconds"]


RUN = """
import sys
from helpers.training import checkpoints
from helpers.training.elr_plus import ELRPlus
from helpers.training.loop import Recipe, fit
from helpers.data.images import load_digits
from helpers.training.models import SmallCNN

checkpoints.SECONDS = 0.0
data = load_digits().subset(300)
record = fit(SmallCNN(data.image_shape, width=8), data, Recipe(epochs=30), 0, checkpoint=sys.argv[1])
record.save(sys.argv[2])
"""


def test_a_killed_process_resumes(tmp_path):
    """The same with a real kill, which no handler sees: SIGKILL as soon as there is a checkpoint."""
    (tmp_path / "run.py").write_text(RUN)
    command = [sys.executable, tmp_path / "run.py", tmp_path / "run.pt", tmp_path / "run.npz"]
    killed = subprocess.Popen(command)
    while not (tmp_path / "run.pt").exists() and killed.poll() is None:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL and not (tmp_path / "run.npz").exists()
    subprocess.run(command, check=True)
    data = load_digits().subset(300)
    expected = fit(SmallCNN(data.image_shape, width=8), data, Recipe(epochs=30), 0)
    assert np.array_equal(Record.load(tmp_path / "run.npz").margins, expected.margins)


def test_runs_share_a_folder_of_checkpoints(three, tmp_path, monkeypatch):
    """Two runs in one folder do not meet; the folder may also come from the environment; who watches goes without."""
    monkeypatch.setenv(CHECKPOINTS_VARIABLE, str(tmp_path / "kept"))
    records = [fit(small_cnn(three), three, SHORT, seed) for seed in (0, 1)]
    assert len(list((tmp_path / "kept").glob("*.pt"))) == 2
    model, calls = small_cnn(three), []
    model.register_forward_hook(lambda *_: calls.append(1))
    again = fit(model, three, SHORT, 1, checkpoint=tmp_path / "kept")
    assert not calls and np.array_equal(again.margins, records[1].margins)
    fit(model, three, SHORT, 1, watch=lambda epoch, model: None)
    assert calls and len(list((tmp_path / "kept").glob("*.pt"))) == 2


def test_damaged_and_foreign_checkpoints_are_refused(three, tmp_path):
    path = tmp_path / "run.pt"
    fit(small_cnn(three), three, SHORT, 0, checkpoint=path)
    content = path.read_bytes()
    for damaged in (content[:len(content) // 2], b"", b"nonsense"):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"(?s)whole checkpoint.*Delete it"):
            fit(small_cnn(three), three, SHORT, 0, checkpoint=path)
    path.write_bytes(content)
    other = add_label_noise(images(), 0.2, seed=1)
    for arguments, difference in (((small_cnn(three), three, SHORT, 1), "seed"),
                                  ((small_cnn(three), other, SHORT, 0), "data"),
                                  ((small_cnn(three, 1), three, SHORT, 0), "initial weights"),
                                  ((small_cnn(three), three, replace(SHORT, lr=0.04), 0), "settings")):
        with pytest.raises(CheckpointError, match=f"differs in {difference}"):
            fit(*arguments, checkpoint=path)


def test_a_checkpoint_is_not_a_way_to_run_code(three, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "evil"),)

    torch.save({"made_by": Evil()}, tmp_path / "run.pt")
    with pytest.raises(CheckpointError):
        fit(small_cnn(three), three, SHORT, 0, checkpoint=tmp_path / "run.pt")
    assert not (tmp_path / "evil").exists()


def test_watching_sees_the_measured_model_and_disturbs_nothing(three):
    kept = {}

    def watch(epoch, model):
        assert not model.training
        kept[epoch] = copy.deepcopy(model)

    record = fit(small_cnn(three), three, SHORT, 0, record_at=[0, 2, 3], watch=watch)
    assert np.array_equal(record.margins, fit(small_cnn(three), three, SHORT, 0, record_at=[0, 2, 3]).margins)
    x = torch.from_numpy(standardise(three.x, three.x_test)[0])
    for place, epoch in enumerate([0, 2, 3]):
        margins = losses.margins(outputs(kept[epoch], x, n_classes=3), torch.from_numpy(three.y_obs))
        np.testing.assert_allclose(record.margins[0, place], margins, rtol=1e-4, atol=1e-5)


# ---- architectures

@pytest.mark.parametrize(("build", "parameters"), [
    (lambda: resnet((3, 32, 32), 10), 11_173_962), (lambda: resnet((3, 32, 32), 10, depth=34), 21_282_122),
    (lambda: PreActResNet((3, 32, 32), 10), 11_172_170), (lambda: vgg((3, 32, 32), 10), 28_144_010)])
def test_standard_networks_have_their_known_sizes(build, parameters):
    """ResNets for CIFAR-10 as commonly counted; PreAct with its last normalisation; VGG-11: 9,220,480 in the
    convolutions, 512 x 4096 + 4096 x 4096 + 4096 x 10 and biases after them."""
    assert sum(parameter.numel() for parameter in build().parameters()) == parameters


@pytest.mark.parametrize("build", [
    lambda shape, outputs, seed: SmallCNN(shape, width=4, seed=seed, n_outputs=outputs),
    lambda shape, outputs, seed: resnet(shape, outputs, seed=seed),
    lambda shape, outputs, seed: vgg(shape, outputs, width=4, seed=seed),
    lambda shape, outputs, seed: PreActResNet(shape, outputs, blocks=(1, 1, 1), width=4, seed=seed)])
def test_networks_take_any_square_image_and_depend_on_their_seed_alone(build):
    for shape in ((1, 8, 8), (3, 32, 32), (1, 28, 28)):
        assert build(shape, 1, 0).eval()(torch.zeros(2, *shape)).shape == (2,)
        assert build(shape, 10, 0).eval()(torch.zeros(2, *shape)).shape == (2, 10)
    state = torch.random.get_rng_state()
    weights = [next(build((1, 8, 8), 10, seed).parameters()) for seed in (0, 0, 1)]
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_vgg_16_has_thirteen_convolutions_and_pools_down_to_one_pixel():
    for side, pools in ((8, 3), (32, 5)):
        model = vgg((3, side, side), 10, depth=16, width=8)
        kinds = [type(layer) for layer in model.modules()]
        assert (kinds.count(nn.Conv2d), kinds.count(nn.MaxPool2d)) == (13, pools)


def test_dropout_keeps_the_mean_and_repeats_with_its_seed():
    layer, x = Dropout(0.3), torch.ones(1000, 100)
    masks = []
    for seed in (0, 0, 1):
        layer.reseed(np.random.default_rng(seed), "cpu")
        masks.append(layer(x))
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])
    np.testing.assert_allclose(masks[0].unique(), [0, 1 / 0.7], rtol=1e-6)
    assert abs(float(masks[0].mean()) - 1) < 5 * (0.3 / 0.7 / 1e5) ** 0.5
    assert torch.equal(layer.eval()(x), x)


@pytest.mark.parametrize(("build", "name"), [
    (lambda: resnet((3, 32, 32), 10, depth=19), "depth"), (lambda: vgg((3, 32, 32), 10, depth=12), "depth"),
    (lambda: vgg((3, 32, 16), 10), "image_shape"), (lambda: PreActResNet((3, 32, 32), 0), "n_outputs"),
    (lambda: PreActResNet((3, 32, 32), 2, blocks=()), "blocks"), (lambda: Dropout(1.0), "p")])
def test_bad_arguments_of_networks_are_named(build, name):
    with pytest.raises(ValueError, match=name):
        build()
