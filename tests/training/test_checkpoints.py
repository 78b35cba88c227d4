"""Checkpoints: a killed run goes on and ends with the same numbers; damaged files are refused."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from columns import SHORT, images, small_cnn

from helpers.data.datasets import load_digits
from helpers.data.label_noise import add_label_noise
from helpers.record import Record
from helpers.runtime import CHECKPOINTS_VARIABLE
from helpers.training import checkpoints
from helpers.training.checkpoints import CheckpointError
from helpers.training.elr_plus import ELRPlus
from helpers.training.loop import fit
from helpers.training.losses import ELRLoss
from helpers.training.models import ModelPair, PreActResNet, SmallCNN, vgg
from helpers.training.recipe import Recipe

NETWORKS = {"small CNN": small_cnn,
            "VGG with dropout": lambda data, seed=0: vgg(data.image_shape, data.n_classes, width=4, seed=seed),
            "PreAct ResNet": lambda data, seed=0: PreActResNet(data.image_shape, data.n_classes, blocks=(1, 1),
                                                               width=4, seed=seed),
            "pair under ELR+": lambda data: ModelPair(small_cnn(data, 0), NETWORKS["PreAct ResNet"](data, 1))}

RECIPES = {"small CNN": replace(SHORT, epochs=5, augment=True, loss=ELRLoss()),
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
    """Bit for bit: dropout, batch normalisation, momentum, targets of ELR, augmentation, both schedules, the log."""
    build, recipe, path = NETWORKS[name], RECIPES[name], tmp_path / "run.pt"
    whole, logs = build(three), {"log_training": "pair" not in name}
    expected = fit(whole, three, recipe, 3, **logs)
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    for epoch in (2, 4):
        with pytest.raises(Killed):
            fit(build(three), three, recipe, 3, checkpoint=path, watch=killed_at(epoch), **logs)
    torch.manual_seed(99)
    model, trained = build(three), []
    first = getattr(model, "networks", [model])[0]
    first.register_forward_hook(lambda module, x, f: trained.append(module.training))
    record = fit(model, three, recipe, 3, checkpoint=path, **logs)
    assert sum(trained) == 4  # the batches of one epoch: it did not begin anew
    assert np.array_equal(record.margins, expected.margins) and np.array_equal(record.predictions, expected.predictions)
    assert np.array_equal(record.fresh_error, expected.fresh_error)
    if logs["log_training"]:
        np.testing.assert_array_equal(record.logged_fits, expected.logged_fits)
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
from helpers.training.loop import fit
from helpers.training.recipe import Recipe
from helpers.data.datasets import load_digits
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
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(content), 30):  # one bit each
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        with pytest.raises(CheckpointError, match="checksum"):
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

    torch.save({"made_by": Evil()}, tmp_path / "evil.pt")
    state = (tmp_path / "evil.pt").read_bytes()
    (tmp_path / "run.pt").write_bytes(hashlib.sha256(state).hexdigest().encode() + b"\n" + state)
    with pytest.raises(CheckpointError):
        fit(small_cnn(three), three, SHORT, 0, checkpoint=tmp_path / "run.pt")
    assert not (tmp_path / "evil").exists()
