"""Folders of image files: classes, lists of labels, and what is refused."""

import numpy as np
import pytest
from image_files import COLOURS, assert_colours, colour_folders, save_image
from PIL import Image

from helpers.data.image_folders import load_folder


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG"])
def test_folders_are_classes(tmp_path, suffix):
    data = load_folder(colour_folders(tmp_path / "colours", suffix=suffix), size=8)
    assert data.classes == ("blue", "green", "red") and data.name == "colours" and data.image_shape == (3, 8, 8)
    assert data.y.tolist() == [0] * 4 + [1] * 4 + [2] * 4 and len(data.y_test) == 6 and data.noise == {}
    assert_colours(data.x, data.y)
    assert_colours(data.x_test, data.y_test)


def test_images_are_cut_to_the_middle_square_and_grey_is_one_channel(tmp_path):
    colour_folders(tmp_path)
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255  # a white square between two black ones
    Image.fromarray(wide).save(tmp_path / "train" / "red" / "0.png")
    data = load_folder(tmp_path, size=10)
    assert data.x[8].min() == 1.0
    grey = load_folder(tmp_path, size=10, mode="L", name="grey")
    assert grey.image_shape == (1, 10, 10) and grey.name == "grey" and grey.x[8].min() == 1.0


def test_two_folders_have_the_labels_minus_and_plus_one(tmp_path):
    for part in ("train", "test"):
        for name in ("blue", "red"):
            save_image(tmp_path / part / name / "a.png", COLOURS[name])
    data = load_folder(tmp_path)
    assert data.y.tolist() == [-1, 1] and data.classes == ("blue", "red")


def test_only_some_images_are_read_and_the_seed_says_which(tmp_path):
    colour_folders(tmp_path, n=6)
    (tmp_path / "train" / "red" / "notes.txt").write_text("no image")
    first, again, other = (load_folder(tmp_path, n_train=9, n_test=3, seed=seed) for seed in (0, 0, 1))
    assert first.n == 9 and len(first.y_test) == 3
    assert_colours(first.x, first.y)
    assert np.array_equal(first.y, again.y) and not np.array_equal(first.y, other.y)
    with pytest.raises(ValueError, match=r"n_train=19.*18"):
        load_folder(tmp_path, n_train=19)


def test_a_list_gives_the_observed_labels_of_a_folder(tmp_path):
    colour_folders(tmp_path)
    listed = tmp_path / "noisy.txt"
    listed.write_text("train/blue/0.png red\n\ntrain/green/1.png\tblue\ntrain/red/3.png green\n"
                      "test/blue/1.png green\n")
    data = load_folder(tmp_path, noisy_labels=listed)
    assert np.flatnonzero(data.flipped).tolist() == [0, 5, 11] and data.y_obs[[0, 5, 11]].tolist() == [2, 0, 1]
    assert data.y_test_obs.tolist() == [0, 1, 1, 1, 2, 2] and data.y_test.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.noise == {"kind": "file", "source": "noisy.txt", "realised_flip_rate": 0.25}
    part = load_folder(tmp_path, noisy_labels=listed, n_train=5)
    assert part.noise["realised_flip_rate"] == part.flipped.mean()
    for text, message in (("train/blue/0.png pink", r"noisy_labels, line 1='pink'.*blue, green, red"),
                          ("train/blue/0.png 3", "line 1='3'"),
                          ("train/blue/0.png red\ntrain/blue/1.png 1", "line 2='1'"),
                          ("\n\n\ntrain/blue/0.png pink", "line 4='pink'"),
                          ("\n\ntrain/blue/0.png", "noisy.txt, line 3"),
                          ("train/blue/0.png red\n\ntrain/blue/0.png green", "line 3='train/blue/0.png'.*line 1"),
                          ("train/blue/9.png red", r"noisy_labels=.*9\.png"),
                          ("train/blue/0.png", "noisy.txt, line 1"), ("", r"noisy.txt.*not empty")):
        listed.write_text(text)
        with pytest.raises(ValueError, match=message):
            load_folder(tmp_path, noisy_labels=listed)
    listed.write_bytes(b"train/blue/0.png \xff")
    with pytest.raises(ValueError, match="UTF-8"):
        load_folder(tmp_path, noisy_labels=listed)
    with pytest.raises(ValueError, match=r"nowhere.txt.*missing"):
        load_folder(tmp_path, noisy_labels=tmp_path / "nowhere.txt")


def test_a_list_may_have_a_byte_order_mark_and_either_form_of_unicode(tmp_path):
    for name, colour in (("caf\u0065\u0301", (0, 0, 255)), ("tea", (255, 0, 0))):
        for place in (f"train/{name}/0.png", f"test/{name}/0.png"):
            save_image(tmp_path / place, colour)
    listed = tmp_path / "noisy.txt"
    listed.write_text("train/caf\u00e9/0.png tea\n", encoding="utf-8-sig")
    assert load_folder(tmp_path, noisy_labels=listed).flipped.tolist() == [True, False]


def test_a_list_is_read_by_names_or_by_numbers_and_not_by_both(tmp_path):
    for number in range(1, 11):
        for place in (f"train/{number}/0.png", f"test/{number}/0.png"):
            save_image(tmp_path / place, (10 * number, 0, 0))
    listed = tmp_path / "noisy.txt"
    classes = sorted(map(str, range(1, 11)))
    listed.write_text("train/1/0.png 0\ntrain/2/0.png 1\n")  # 0 is no name: positions
    data = load_folder(tmp_path, noisy_labels=listed)
    assert data.y_obs[[0, classes.index("2")]].tolist() == [0, 1]
    listed.write_text("train/1/0.png 10\ntrain/2/0.png 2\n")  # 10 is no position: names
    data = load_folder(tmp_path, noisy_labels=listed)
    assert data.y_obs[[0, classes.index("2")]].tolist() == [classes.index("10"), classes.index("2")]
    listed.write_text("train/1/0.png 1\ntrain/2/0.png 2\n")
    with pytest.raises(ValueError, match="read in one way"):
        load_folder(tmp_path, noisy_labels=listed)


def test_what_systems_and_editors_leave_behind_is_no_data(tmp_path):
    expected = load_folder(colour_folders(tmp_path))
    leftovers = ("train/.ipynb_checkpoints/0.png", "test/.ipynb_checkpoints/0.png", "train/red/._0.png",
                 "train/red/.ipynb_checkpoints/0.png",
                 "train/__MACOSX/0.png", "test/red/@eaDir/0.png", "train/red/~$0.png")
    for place in leftovers:
        save_image(tmp_path / place, (9, 9, 9))
    (tmp_path / "train/red/Thumbs.db").write_bytes(b"")
    (tmp_path / "train/.DS_Store").write_bytes(b"")
    data = load_folder(tmp_path)
    assert data.classes == expected.classes and np.array_equal(data.x, expected.x)
    assert len(data.x_test) == len(expected.x_test)


@pytest.mark.parametrize("name", ["9.jfif", "9"])
def test_an_image_counts_whatever_its_suffix(tmp_path, name):
    expected = load_folder(colour_folders(tmp_path)).n
    image = Image.new("RGB", (8, 8), (255, 0, 0))
    image.save(tmp_path / "train" / "red" / name, "JPEG")
    (tmp_path / "train" / "red" / "about.md").write_text("no image")
    assert load_folder(tmp_path).n == expected + 1


def test_images_of_16_bits_keep_their_range_and_others_are_refused(tmp_path):
    colour_folders(tmp_path)
    file = tmp_path / "train" / "blue" / "0.png"
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64)
    Image.fromarray(ramp.astype(np.uint16)).save(file)
    for mode, channels in (("L", 1), ("RGB", 3)):
        x = load_folder(tmp_path, size=64, mode=mode).x[0]
        np.testing.assert_allclose(x, np.broadcast_to(ramp / 65535, (channels, 64, 64)), atol=1e-4)
    assert len(np.unique(load_folder(tmp_path, size=32, mode="L").x[0])) > 500  # not clipped
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "train" / "blue" / "0.tif")
    with pytest.raises(ValueError, match=r"0\.tif.*mode is 'F'"):
        load_folder(tmp_path)


def test_photographs_are_turned_as_their_camera_says(tmp_path):
    colour_folders(tmp_path)
    upright = Image.new("RGB", (8, 8), (0, 0, 0))
    upright.paste((255, 255, 255), (0, 0, 8, 4))  # white above
    exif = Image.Exif()
    exif[0x0112] = 6  # show it turned clockwise by a quarter
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "train" / "blue" / "0.png", exif=exif)
    x = load_folder(tmp_path, size=8).x[0]
    assert x[:, :4].min() == 1 and x[:, 4:].max() == 0


def test_folders_may_hold_observed_labels_of_unknown_truth(tmp_path):
    data = load_folder(colour_folders(tmp_path), labels_are="observed")
    assert data.noise == {"kind": "unknown", "source": "names of the folders"} and np.array_equal(data.y, data.y_obs)
    assert data.subset(3).noise["kind"] == "unknown"
    (tmp_path / "list.txt").write_text("train/blue/0.png red")
    for change in ({"labels_are": "wrong"}, {"labels_are": "observed", "noisy_labels": tmp_path / "list.txt"}):
        with pytest.raises(ValueError, match="labels_are"):
            load_folder(tmp_path, **change)


def test_folders_that_are_no_data_set_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"path=.*train.*for each class, such as .*7\.jpg"):
        load_folder(tmp_path)
    colour_folders(tmp_path)
    save_image(tmp_path / "train" / "pink" / "0.png", (255, 200, 200))
    with pytest.raises(ValueError, match=r"same classes.*'pink'"):
        load_folder(tmp_path)
    (tmp_path / "test" / "pink").mkdir()
    with pytest.raises(ValueError, match=r"path=.*test.*pink.*a folder with images"):
        load_folder(tmp_path)
    for change in ({"size": 0}, {"mode": "CMYK"}):
        with pytest.raises(ValueError, match=next(iter(change))):
            load_folder(colour_folders(tmp_path / "good"), **change)


@pytest.mark.parametrize("keep", [0, 20, -30])
def test_a_damaged_image_is_named(tmp_path, keep):
    colour_folders(tmp_path, suffix=".jpg")
    file = tmp_path / "train" / "green" / "2.jpg"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"green.2\.jpg.*image that can be read"):
        load_folder(tmp_path)
