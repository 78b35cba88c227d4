"""Human labels of CIFAR-10: both file formats, pickles that are refused unread, the download."""

import pickle

import numpy as np
import pytest
import torch
from image_files import Bomb, save_npz
from web import closed_port

from helpers.data import cifar10n as human_labels
from helpers.data.cifar10n import (
    CIFAR10N_VARIABLE,
    KINDS,
    LABEL_ARRAYS,
    add_cifar10n_labels as add_human_labels,
    load_cifar10n,
)
from helpers.data.datasets import load_cifar10
from helpers.data.images import two_class_images
from helpers.files import _sha256_of


def ten_labels(n=60):
    """CIFAR-10N's arrays for n images: clean 0 to 9 in turn, each kind wrong in its own places."""
    clean = np.arange(n) % 10
    labels = {"clean_label": clean}
    for step, name in enumerate(KINDS.values(), 2):
        labels[name] = np.where(np.arange(n) % step == 0, (clean + 1) % 10, clean)
    return labels


def save_pt(path, content, **options):
    torch.save(content, path, **options)
    return path


@pytest.fixture
def cifar(tmp_path):
    return load_cifar10(save_npz(tmp_path / "cifar10.npz"))


def test_human_labels_come_from_pt_and_npz_alike(tmp_path, monkeypatch, cifar):
    save_pt(tmp_path / "CIFAR-10_human.pt", ten_labels())
    np.savez(tmp_path / "n.npz", **{name: label.astype(np.uint8) for name, label in ten_labels().items()})
    for path in (tmp_path / "CIFAR-10_human.pt", tmp_path, tmp_path / "n.npz"):
        labels = load_cifar10n(path)
        assert tuple(labels) == LABEL_ARRAYS and all(label.dtype == np.int64 for label in labels.values())
        assert all(np.array_equal(labels[name], label) for name, label in ten_labels().items())
        for step, kind in enumerate(KINDS, 2):
            data = add_human_labels(cifar, kind, path=path)
            assert np.array_equal(data.flipped, np.arange(60) % step == 0) and data.x is cifar.x
            assert data.noise == {"kind": "human", "source": f"CIFAR-10N, {kind}",
                                  "realised_flip_rate": data.flipped.mean()}
            assert np.array_equal(data.y_test_obs, cifar.y_test)
    monkeypatch.setenv(CIFAR10N_VARIABLE, str(tmp_path))
    assert np.array_equal(add_human_labels(cifar, "worst").y_obs, ten_labels()["worse_label"])
    monkeypatch.delenv(CIFAR10N_VARIABLE)
    with pytest.raises(ValueError, match=r"SIGNAL_FIRST_CIFAR10N=None.*CIFAR-10_human.pt.*SHA-256 873e69c3"):
        add_human_labels(cifar, "worst")


def test_human_labels_are_added_before_a_subset_or_a_pair_is_taken(tmp_path, cifar):
    path = save_pt(tmp_path / "labels.pt", ten_labels())
    worst, aggregate = (add_human_labels(cifar, kind, path=path).subset(20, seed=4) for kind in ("worst", "aggregate"))
    assert np.array_equal(worst.x, aggregate.x) and np.array_equal(worst.x, cifar.subset(20, seed=4).x)
    assert worst.noise["realised_flip_rate"] == worst.flipped.mean()
    pair = two_class_images(add_human_labels(cifar, "worst", path=path), "cat", "deer")
    assert pair.noise["kind"] == "human" and pair.n > 0
    with pytest.raises(ValueError, match=r"data.n=20.*60.*before you take a subset"):
        add_human_labels(cifar.subset(20), "worst", path=path)
    with pytest.raises(ValueError, match=r"data.classes=.*before you take two classes"):
        add_human_labels(two_class_images(cifar, "cat", "dog"), "worst", path=path)
    with pytest.raises(ValueError, match=r"kind='worse'.*'worst'"):
        add_human_labels(cifar, "worse", path=path)


def test_labels_in_another_order_are_refused(tmp_path, cifar):
    """As TensorFlow's: the same labels, the images in another order."""
    order = np.random.default_rng(0).permutation(60)
    path = save_pt(tmp_path / "tf.pt", {name: label[order] for name, label in ten_labels().items()})
    with pytest.raises(ValueError, match=r"data.y=.*of 60 labels differ.*TensorFlow"):
        add_human_labels(cifar, "worst", path=path)


def test_files_written_by_old_numpy_are_read(tmp_path):
    """numpy 1 wrote numpy.core where numpy 2 writes numpy._core, and the published file is one of those."""
    path = save_pt(tmp_path / "new.pt", ten_labels(), _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    new, old = b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"
    other = content.replace(new, old) if new in content else content.replace(old, new)
    assert other != content
    (tmp_path / "old.pt").write_bytes(other)
    for name in ("new.pt", "old.pt"):
        assert np.array_equal(load_cifar10n(tmp_path / name)["worse_label"], ten_labels()["worse_label"])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_of_any_protocol_are_read_or_refused_with_what_to_put_there(tmp_path, protocol):
    path = save_pt(tmp_path / "labels.pt", ten_labels(), pickle_protocol=protocol)
    if protocol == 2:  # torch's own, and the published file's
        assert np.array_equal(load_cifar10n(path)["clean_label"], ten_labels()["clean_label"])
        return
    try:
        assert np.array_equal(load_cifar10n(path)["clean_label"], ten_labels()["clean_label"])
    except ValueError as error:
        assert "SIGNAL_FIRST_CIFAR10N" in str(error) and ".npz" in str(error)


def test_a_malicious_pickle_is_refused_unread(tmp_path):
    mark = tmp_path / "executed"
    for name, content in (("bomb", Bomb(mark)), ("hidden", ten_labels() | {"worse_label": Bomb(mark)}),
                          ("object", ten_labels() | {"worse_label": np.array([Bomb(mark)] * 60, dtype=object)})):
        for new in (True, False):
            path = save_pt(tmp_path / f"{name}.pt", content, _use_new_zipfile_serialization=new)
            with pytest.raises(ValueError, match=r"SIGNAL_FIRST_CIFAR10N=.*must be the path"):
                load_cifar10n(path)
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(ValueError, match="SIGNAL_FIRST_CIFAR10N"):
        load_cifar10n(tmp_path / "plain.pt")
    np.savez(tmp_path / "bomb.npz", **ten_labels() | {"worse_label": np.array([Bomb(mark)], dtype=object)})
    with pytest.raises(ValueError, match="SIGNAL_FIRST_CIFAR10N"):
        load_cifar10n(tmp_path / "bomb.npz")
    assert not mark.exists()


def test_reading_labels_leaves_torchs_list_of_safe_globals_alone(tmp_path):
    before = set(torch.serialization.get_safe_globals())  # a set inside, so without an order
    load_cifar10n(save_pt(tmp_path / "labels.pt", ten_labels()))
    assert set(torch.serialization.get_safe_globals()) == before


def test_damaged_and_foreign_label_files_are_refused(tmp_path):
    whole = save_pt(tmp_path / "labels.pt", ten_labels()).read_bytes()
    foreign = {"empty": b"", "text": b"no labels", "half": whole[: len(whole) // 2], "cut": whole[:-40]}
    for name, content in foreign.items():
        for suffix in ("pt", "npz"):
            (tmp_path / f"{name}.{suffix}").write_bytes(content)
            with pytest.raises(ValueError, match=r"SIGNAL_FIRST_CIFAR10N=.*CIFAR-10_human.pt"):
                load_cifar10n(tmp_path / f"{name}.{suffix}")
    with pytest.raises(ValueError, match=r"nowhere.pt.*CIFAR-10_human.pt"):
        load_cifar10n(tmp_path / "nowhere.pt")


@pytest.mark.parametrize(("change", "message"), [
    ({"worse_label": None}, "worse_label"), ({"worse_label": np.arange(59) % 10}, r"worse_label=.*\(60,\)"),
    ({"random_label2": np.full(60, 10)}, "random_label2=.*0 to 9"), ({"clean_label": np.zeros((60, 1), int)}, "clean"),
    ({"aggre_label": np.full(60, -1)}, "aggre_label"), ({"clean_label": np.zeros((), int)}, "clean_label")])
def test_label_arrays_that_are_not_cifar10ns_are_named(tmp_path, change, message):
    labels = {name: label for name, label in (ten_labels() | change).items() if label is not None}
    save_pt(tmp_path / "labels.pt", labels)
    np.savez(tmp_path / "labels.npz", **labels)
    for suffix in ("pt", "npz"):
        with pytest.raises(ValueError, match=message):
            load_cifar10n(tmp_path / f"labels.{suffix}")


def test_a_tensor_file_that_is_no_dictionary_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Missing: Tensor"):
        load_cifar10n(save_pt(tmp_path / "tensor.pt", torch.zeros(3)))


def test_without_a_network_the_error_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setattr(human_labels, "CIFAR10N_URL", closed_port() + "/CIFAR-10_human.pt")
    for path in (tmp_path, tmp_path / "new"):
        with pytest.raises(ValueError, match=r"CIFAR-10_human.pt.*873e69c3.*ConnectionError.*put it there") as error:
            load_cifar10n(path, download=True)
        assert str(path) in str(error.value)


def test_human_labels_are_downloaded_and_checked(server, tmp_path, monkeypatch, cifar):
    folder, address = server
    published = save_pt(folder / "CIFAR-10_human.pt", ten_labels())
    monkeypatch.setattr(human_labels, "CIFAR10N_URL", f"{address}/CIFAR-10_human.pt")
    with pytest.raises(ValueError, match="873e69c3"):
        load_cifar10n(tmp_path / "refused", download=True)  # not the published file
    monkeypatch.setattr(human_labels, "CIFAR10N_SHA256", _sha256_of(published))
    data = add_human_labels(cifar, "worst", path=tmp_path / "here", download=True)
    assert np.array_equal(data.y_obs, ten_labels()["worse_label"])
    (tmp_path / "here" / "CIFAR-10_human.pt").write_bytes(b"spoilt")
    with pytest.raises(ValueError, match=r"remove it"):
        load_cifar10n(tmp_path / "here", download=True)
