"""Training on images: the Record tells the truth, runs repeat, and what is refused."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from torch.nn.functional import softplus

from helpers.data.datasets import load_digits
from helpers.data.images import LabelledImages
from helpers.data.label_noise import add_label_noise
from helpers.record import Record
from helpers.training.batches import standardise
from helpers.training.elr_plus import ELRPlus
from helpers.training.loop import fit
from helpers.training.models import ModelPair, SmallCNN
from helpers.training.recipe import Recipe

RATE = 0.2
SHORT = Recipe(epochs=3)


def test_margins_of_the_record_are_a_fresh_forward_passs(small):
    model = SmallCNN(small.image_shape)
    record = fit(model, small, SHORT, 0, record_at=[0, 3])
    x, x_test = (torch.from_numpy(part) for part in standardise(small.x, small.x_test))
    with torch.no_grad():
        f, f_test, f_start = model(x), model(x_test), SmallCNN(small.image_shape)(x)
    # the same float32 operations, in batches of another size: equal up to rounding
    np.testing.assert_allclose(record.margins[0, -1], small.y_obs * f.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(record.margins[0, 0], small.y_obs * f_start.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(record.losses[0, -1], softplus(-torch.from_numpy(small.y_obs) * f), rtol=1e-4, atol=1e-5)
    predicted = np.where(f_test > 0, 1.0, -1.0)
    assert record.fresh_error[0, -1] == np.mean(predicted != small.y_test)
    assert record.observed_error[0, -1] == np.mean(predicted != small.y_test_obs)
    assert record.test_sizes == {"fresh": 797, "observed": 797}


def test_record_says_what_was_run_and_survives_a_file(small, tmp_path):
    record = fit(SmallCNN(small.image_shape), small, SHORT, 7)
    assert record.runs == [{"seed": 7, **small.noise}] and small.noise["flip_rate"] == RATE
    recipe = {"epochs": 3, "lr": 0.1, "momentum": 0.9, "weight_decay": 0.0, "batch_size": 100, "loss": "CrossEntropy()"}
    assert recipe.items() <= record.config["recipe"].items()
    assert record.config["data"] == "handwritten digits" and record.config["model"] == "SmallCNN"
    assert record.times.tolist() == [0, 1, 2, 3] and np.array_equal(record.flipped[0], small.flipped)
    record.save(tmp_path / "run.npz")
    again = Record.load(tmp_path / "run.npz")
    assert np.array_equal(again.margins, record.margins) and again.runs == record.runs and again.config == record.config


def test_one_step_of_one_batch_is_gradient_descent_by_hand(small):
    """One epoch of one batch without momentum: theta - lr * gradient of mean log(1 + exp(-y_obs f)), decay included."""
    recipe = Recipe(epochs=1, lr=0.3, momentum=0.0, weight_decay=0.01, batch_size=small.n)
    model, by_hand = (SmallCNN(small.image_shape, seed=2) for _ in range(2))
    fit(model, small, recipe, 0)
    f = by_hand(torch.from_numpy(standardise(small.x, small.x_test)[0]))
    loss = torch.log1p(torch.exp(-torch.from_numpy(small.y_obs).float() * f)).mean()
    gradients = torch.autograd.grad(loss, by_hand.parameters())
    for after, before, gradient in zip(model.parameters(), by_hand.parameters(), gradients):
        # float32, summed in another order
        torch.testing.assert_close(after, before - 0.3 * (gradient + 0.01 * before), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 30, 200, 1000])
def test_every_image_is_seen_once_an_epoch(small, batch_size):
    seen = []

    class Watching(SmallCNN):
        def forward(self, x):
            if self.training:
                seen.append(x.detach().clone())
            return super().forward(x)

    part = small.subset(61)
    fit(Watching(part.image_shape, width=1), part, Recipe(epochs=2, lr=1e-6, batch_size=batch_size), 0, record_at=[2])
    images = torch.cat(seen).numpy()
    assert max(map(len, seen)) == min(batch_size, 61) and len(images) == 2 * 61
    known = {image.tobytes(): i for i, image in enumerate(standardise(part.x, part.x_test)[0])}
    order = [known[image.tobytes()] for image in images]
    assert sorted(order[:61]) == sorted(order[61:]) == list(range(61)) and order[:61] != order[61:]


def test_same_seeds_same_record_and_each_seed_matters(small):
    record, again = (fit(SmallCNN(small.image_shape, seed=1), small, SHORT, 1) for _ in range(2))
    assert np.array_equal(record.margins, again.margins) and np.array_equal(record.fresh_error, again.fresh_error)
    other_order = fit(SmallCNN(small.image_shape, seed=1), small, SHORT, 2)
    assert np.array_equal(record.margins[0, 0], other_order.margins[0, 0])
    assert not np.array_equal(record.margins[0, -1], other_order.margins[0, -1])
    other_weights = fit(SmallCNN(small.image_shape, seed=2), small, SHORT, 1)
    assert not np.array_equal(record.margins[0, 0], other_weights.margins[0, 0])


def test_result_does_not_depend_on_global_random_state_or_threads(small):
    torch.random.manual_seed(0)
    record = fit(SmallCNN(small.image_shape), small, SHORT, 0)
    torch.random.manual_seed(1)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        again = fit(SmallCNN(small.image_shape), small, SHORT, 0)
        assert torch.get_num_threads() == 2  # put back
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(record.margins, again.margins)


def test_measuring_does_not_disturb_training(small):
    often = fit(SmallCNN(small.image_shape), small, SHORT, 0, record_at=[0, 1, 2, 3])
    once = fit(SmallCNN(small.image_shape), small, SHORT, 0, record_at=[3])
    assert np.array_equal(often.margins[:, -1], once.margins[:, -1])
    first = fit(SmallCNN(small.image_shape), small, SHORT, 0, record_at=[1])  # ends there
    assert np.array_equal(first.margins[:, 0], often.margins[:, 1])


def test_measuring_is_in_evaluation_mode_and_training_is_not(small):
    modes = []

    class Watching(SmallCNN):
        def forward(self, x):
            modes.append((self.training, len(x)))
            return super().forward(x)

    fit(Watching(small.image_shape), small, Recipe(epochs=1, batch_size=50), 0)
    measured = [(False, 200), (False, 797)]
    assert modes == measured + [(True, 50)] * 4 + measured


def test_divergence_names_the_epoch(small):
    with pytest.raises(FloatingPointError, match=r"diverged in epoch 1\b"):
        fit(SmallCNN(small.image_shape), small, Recipe(epochs=5, lr=1e30), 0)


def test_divergence_in_a_later_epoch_is_seen_without_recording_it(small):
    class Breaking(SmallCNN):
        calls = 0

        def forward(self, x):
            self.calls += self.training
            return super().forward(x) * (float("nan") if self.calls > 4 else 1.0)  # two batches an epoch

    with pytest.raises(FloatingPointError, match=r"epoch 3\b"):
        fit(Breaking(small.image_shape), small, Recipe(epochs=9), 0, record_at=[0, 9])


@pytest.mark.parametrize("change", [
    {"epochs": 0}, {"epochs": 1.5}, {"lr": 0.0}, {"lr": float("inf")}, {"momentum": 1.0}, {"momentum": -0.1},
    {"weight_decay": -1.0}, {"weight_decay": float("nan")}, {"batch_size": 0}, {"batch_size": True}])
def test_recipes_are_checked_and_frozen(change):
    (name,) = change
    with pytest.raises(ValueError, match=name):
        Recipe(**change)
    with pytest.raises(FrozenInstanceError):
        Recipe().lr = 1.0


@pytest.mark.parametrize(("change", "name"), [
    ({"seed": -1}, "seed"), ({"seed": 0.5}, "seed"), ({"record_at": [0, 4]}, "record_at"),
    ({"record_at": [1, 1]}, "record_at"), ({"record_at": []}, "record_at"), ({"device": "tpu"}, "device"),
    ({"threads": 0}, "threads")])
def test_bad_arguments_of_fit_are_named(small, change, name):
    arguments = {"recipe": SHORT, "seed": 0} | change
    with pytest.raises(ValueError, match=name):
        fit(SmallCNN(small.image_shape), small, **arguments)


def test_small_start_puts_every_loss_near_log_2(small):
    record = fit(SmallCNN(small.image_shape), small, SHORT, 0, record_at=[0])
    assert np.abs(record.losses - np.log(2)).max() < 0.3  # at scale 1 some reach 2


def test_colour_images_train():
    """Three channels, the first of which is brighter in one class: easy to learn, and it is learnt."""
    rng = np.random.default_rng(0)
    y = np.where(np.arange(120) % 2 == 0, 1.0, -1.0)
    x = rng.random((120, 3, 16, 16)) * 0.5
    x[:, 0] += 0.3 * (y > 0)[:, None, None]
    colours = LabelledImages("colours", ("dark", "bright"), x, y, x[:40], y[:40])
    record = fit(SmallCNN(colours.image_shape, width=4), colours, Recipe(epochs=10, batch_size=20), 0)
    assert record.fresh_error[0, -1] < 0.1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_runs_agree_with_the_cpus_at_the_start(small):
    records = [fit(SmallCNN(small.image_shape), small, SHORT, 0, device=device) for device in ("cpu", "cuda")]
    # one epoch of float32; later epochs amplify the difference in rounding
    np.testing.assert_allclose(records[0].margins[:, :2], records[1].margins[:, :2], rtol=1e-2, atol=1e-3)


def test_validation_images_are_kept_out_of_the_test_errors():
    """The last n_val test images are measured by themselves; both parts together give the whole set's errors."""
    data = add_label_noise(load_digits().subset(100), 0.2, seed=0)
    whole, split = (fit(SmallCNN(data.image_shape, width=4, seed=0), data, Recipe(epochs=2), 0,
                        n_val=n_val) for n_val in (0, 300))
    n_test = len(data.y_test) - 300
    assert split.test_sizes == {"fresh": n_test, "observed": n_test, "validation": 300, "validation_observed": 300}
    np.testing.assert_array_equal(whole.margins, split.margins)
    for name, other in (("fresh_error", "validation_error"), ("observed_error", "validation_observed_error")):
        both = (n_test * getattr(split, name) + 300 * getattr(split, other)) / len(data.y_test)
        np.testing.assert_allclose(both, getattr(whole, name), rtol=1e-12)
        assert np.any(getattr(split, name) != getattr(split, other))
    for n_val in (-1, len(data.y_test) + 1):
        with pytest.raises(ValueError, match="n_val"):
            fit(SmallCNN(data.image_shape, width=4, seed=0), data, Recipe(epochs=2), 0, n_val=n_val)


def test_the_log_of_training_is_what_its_forward_passes_said(small):
    """One batch an epoch and no dropout: the passes are made at the weights measured after the epoch before."""
    recipe = Recipe(epochs=4, batch_size=small.n)
    record = fit(SmallCNN(small.image_shape), small, recipe, 0, log_training=True)
    assert np.isnan(record.logged_fits[0, 0]).all()
    # an output within rounding of zero may fall on either side in batches of another order
    near = np.abs(record.margins[0, :-1]) < 1e-5
    assert ((record.logged_fits[0, 1:] == record.fits_observed[0, :-1]) | near).all() and near.mean() < 0.1
    usual = fit(SmallCNN(small.image_shape), small, recipe, 0)
    assert usual.logged_fits is None and np.array_equal(usual.margins, record.margins)
    with pytest.raises(ValueError, match="log_training=True"):
        pair = ModelPair(SmallCNN(small.image_shape), SmallCNN(small.image_shape, seed=1))
        fit(pair, small, Recipe(epochs=1, loss=ELRPlus()), 0, log_training=True)
