"""Training with several classes, step sizes that change, reduced precision, and a watcher."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from columns import SHORT, images, small_cnn
from torch import nn
from torch.nn.functional import cross_entropy

from helpers.data.label_noise import add_label_noise
from helpers.training import losses
from helpers.training.batches import standardise
from helpers.training.draws import may_draw
from helpers.training.loop import _precision, fit
from helpers.training.models import PreActResNet, SmallCNN
from helpers.training.predictions import predicted_outputs
from helpers.training.recipe import Recipe

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
            return losses.loss_logits(super().forward(x))

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


@pytest.mark.parametrize("layer", [
    nn.Dropout(), nn.Dropout1d(), nn.Dropout2d(), nn.Dropout3d(), nn.AlphaDropout(), nn.FeatureAlphaDropout(),
    nn.RReLU(), nn.MultiheadAttention(64, 1, dropout=0.1), nn.LSTM(64, 64, num_layers=2, dropout=0.1)])
def test_layers_that_draw_from_torchs_generator_count_as_drawing(layer):
    assert may_draw([nn.Sequential(nn.Flatten(), layer, nn.Linear(64, 3))])


def test_a_last_batch_of_one_is_refused_under_batch_normalisation_alone(three):
    recipe = Recipe(epochs=1, batch_size=three.n - 1)
    with pytest.raises(ValueError, match=rf"batch_size={three.n - 1}.*there are {three.n} images"):
        fit(PreActResNet(three.image_shape, 3, blocks=(1,), width=2), three, recipe, 0)
    assert fit(SmallCNN(three.image_shape, width=2, n_outputs=3), three, recipe, 0).times[-1] == 1


def test_weights_of_another_kind_of_float_are_refused(three):
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        model = SmallCNN(three.image_shape, width=2, n_outputs=3)
    finally:
        torch.set_default_dtype(before)
    with pytest.raises(ValueError, match=r"model=.*float64.*model\.float\(\)"):
        fit(model, three, SHORT, 0)


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


# ---- precision

def test_bfloat16_trains_nearby_and_measures_in_float32(three):
    plain, model = fit(small_cnn(three), three, SHORT, 0), small_cnn(three)
    record = fit(model, three, SHORT, 0, precision="bfloat16")
    assert record.config["precision"] == "bfloat16" and plain.config["precision"] == "float32"
    assert not np.array_equal(record.margins[0, -1], plain.margins[0, -1])
    np.testing.assert_allclose(record.margins[0, 1], plain.margins[0, 1], atol=0.1)  # 8 bits of mantissa, 4 steps
    x = torch.from_numpy(standardise(three.x, three.x_test)[0])
    margins = losses.loss_margins(predicted_outputs(model, x, n_classes=3), torch.from_numpy(three.y_obs)).numpy()
    np.testing.assert_allclose(record.margins[0, -1], margins, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="precision"):
        fit(small_cnn(three), three, SHORT, 0, precision="half")


@pytest.mark.parametrize("capability", [(7, 5), (8, 0)])
def test_automatic_precision_is_bfloat16_only_where_the_gpu_has_it(monkeypatch, capability):
    """A T4 (7.5) only emulates it."""
    for name, value in {"is_available": True, "current_device": 0, "get_device_capability": capability,
                        "get_device_properties": SimpleNamespace(major=capability[0], minor=capability[1])}.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)
    monkeypatch.setattr(torch.cuda, "_check_bf16_tensor_supported", lambda *_: True)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert _precision("auto", torch.device("cuda")) == ("bfloat16" if capability >= (8, 0) else "float32")
    assert _precision("auto", torch.device("cpu")) == "float32"


def test_watching_sees_the_measured_model_and_disturbs_nothing(three):
    kept = {}

    def watch(epoch, model):
        assert not model.training
        kept[epoch] = copy.deepcopy(model)

    record = fit(small_cnn(three), three, SHORT, 0, record_at=[0, 2, 3], watch=watch)
    assert np.array_equal(record.margins, fit(small_cnn(three), three, SHORT, 0, record_at=[0, 2, 3]).margins)
    x = torch.from_numpy(standardise(three.x, three.x_test)[0])
    for place, epoch in enumerate([0, 2, 3]):
        margins = losses.loss_margins(predicted_outputs(kept[epoch], x, n_classes=3), torch.from_numpy(three.y_obs))
        np.testing.assert_allclose(record.margins[0, place], margins, rtol=1e-4, atol=1e-5)
