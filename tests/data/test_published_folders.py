"""Folders in the layouts of Clothing1M and WebVision, and what is refused."""

import pytest
from image_files import assert_colours, clothing_files, webvision_files

from helpers.data.label_noise import label_noise_transition
from helpers.data.published_folders import load_clothing1m, load_webvision


@pytest.mark.parametrize("lists", ["annotations", "."])
def test_clothing1m_has_labels_of_the_web_and_a_clean_test_set(tmp_path, lists):
    data = load_clothing1m(clothing_files(tmp_path, lists), size=8)
    assert data.name == "Clothing1M" and data.classes == ("blue", "green", "red")
    assert data.y_obs.tolist() == data.y.tolist() == [1, 1, 2]  # the first is blue, which nobody knows
    assert data.noise == {"kind": "unknown", "source": "Clothing1M, web pages"}
    assert data.y_test.tolist() == data.y_test_obs.tolist() == [0, 1, 2]
    assert_colours(data.x_test, data.y_test)
    assert_colours(data.x, [0, 1, 2])
    assert data.files == ("images/1/13/3,x3.jpg", "images/0/14/4,x4.jpg", "images/1/15/5,x5.jpg")  # the list's keys
    part = load_clothing1m(tmp_path, n_train=2, n_test=1)
    assert part.n == 2 and set(part.files) < set(data.files)


def test_clothing1m_images_with_both_labels_have_measured_noise(tmp_path):
    data = load_clothing1m(clothing_files(tmp_path), train="both", size=8)
    assert data.y.tolist() == [0, 1, 2] and data.y_obs.tolist() == [0, 2, 2]
    assert data.noise == {"kind": "web", "source": "Clothing1M, web pages", "realised_flip_rate": 1 / 3}
    assert label_noise_transition(data.y, data.y_obs, 3)[1].tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 1]]
    assert_colours(data.x, data.y)


def test_clothing1m_files_that_are_missing_or_wrong_are_named(tmp_path):
    lists = clothing_files(tmp_path) / "annotations"
    with pytest.raises(ValueError, match="train='clean'"):
        load_clothing1m(tmp_path, train="clean")
    one, test_list = "images/0/12/2,x2.jpg", "clean_test_key_list.txt"
    for name, text, message in (("noisy_label_kv.txt", f"{one} 3", r"noisy_label_kv.txt, line 1='3'.*0 to 2"),
                                ("noisy_label_kv.txt", f"{one} 1", r"label for each image.*images/1/13/3"),
                                (test_list, f"{one}\nimages/0/18/0.jpg", "have none"),
                                (test_list, None, rf"{test_list}.*missing")):
        before = (lists / name).read_text()
        (lists / name).unlink() if text is None else (lists / name).write_text(text)
        with pytest.raises(ValueError, match=message):
            load_clothing1m(tmp_path)
        (lists / name).write_text(before)
    (tmp_path / "images/1/13/3,x3.jpg").unlink()
    with pytest.raises(ValueError, match=r"3,x3\.jpg.*missing"):
        load_clothing1m(tmp_path)
    (lists / "noisy_label_kv.txt").write_text("images/1/13/3,x3.jpg 1")
    with pytest.raises(ValueError, match="both labels"):
        load_clothing1m(tmp_path, train="both")


def test_webvision_has_googles_labels_and_a_true_test_set(tmp_path):
    data = load_webvision(webvision_files(tmp_path), n_classes=3, size=8)
    assert data.classes == ("crane (0)", "crane (1)", "tench") and data.y_obs.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.noise == {"kind": "unknown", "source": "WebVision, Google's answers"}
    assert data.files[:3] == ("google/q0000/0.jpg", "google/q0000/1.jpg", "google/q0001/0.jpg")
    assert_colours(data.x, data.y)
    assert_colours(data.x_test, data.y_test)
    two = load_webvision(tmp_path, n_classes=2)
    assert two.y.tolist() == [-1, -1, 1, 1] and two.y_test.tolist() == [-1, 1]
    (tmp_path / "info" / "synsets.txt").unlink()
    assert load_webvision(tmp_path, n_classes=3, n_train=2).classes == ("0", "1", "2")


def test_webvision_files_that_are_missing_or_wrong_are_named(tmp_path):
    webvision_files(tmp_path)
    with pytest.raises(ValueError, match=r"n_classes=50.*3"):
        load_webvision(tmp_path)
    listed = tmp_path / "info" / "train_filelist_google.txt"
    for text, message in (("google/q0000/0.jpg x", "train_filelist_google.txt, line 1='x'"),
                          ("google/q0000/7.jpg 0", r"7\.jpg.*missing"), ("google/q0000/0.jpg 3", "n_classes=3"),
                          ("google/q0000/0.jpg", "line 1")):
        listed.write_text(text)
        with pytest.raises(ValueError, match=message):
            load_webvision(tmp_path, n_classes=3)
    listed.unlink()
    with pytest.raises(ValueError, match=r"train_filelist_google.txt.*missing"):
        load_webvision(tmp_path, n_classes=3)
