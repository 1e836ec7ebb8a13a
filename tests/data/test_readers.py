"""Readers of archive files, images, sounds and light curves, and their bad inputs."""

import csv
import wave

import numpy as np
import pytest
from PIL import Image

from caesura.data.astronomy import read_elasticc, read_plasticc
from caesura.data.image_folder import read_image, read_image_folder
from caesura.data.sound_files import read_esc50, read_sound, read_speech_commands
from caesura.data.ts_file import read_ts
from caesura.errors import DataError

TS = """# a comment
@problemName toy
@dimensions 2
@classLabel true a b
@data
1,2,3:4,5,6:a
1,?:0.5,2:b
"""


def test_a_ts_file_gives_series_of_unequal_length_with_gaps(tmp_path):
    path = tmp_path / "toy.ts"
    path.write_text(TS)
    series, labels = read_ts(path)
    assert [one.shape for one in series] == [(2, 3), (2, 2)]
    assert np.isnan(series[1][0, 1])
    assert labels == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2:a\n", "data before @data"),
        ("@data\n1,2\n", "no ':'"),
        ("@data\n1,x:a\n", "line 2"),
        ("@data\n1,2:1:a\n", r"lengths \[1, 2\]"),
        ("@data\n", "no series"),
    ],
)
def test_a_bad_ts_file_is_named_with_its_line(tmp_path, text, message):
    path = tmp_path / "bad.ts"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_ts(path)


def picture(path, colour, size=(10, 6)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def test_both_layouts_of_tiny_imagenet_are_read(tmp_path):
    picture(tmp_path / "train" / "n1" / "images" / "n1_0.png", "red")
    picture(tmp_path / "train" / "n2" / "images" / "n2_0.png", "blue")
    picture(tmp_path / "val" / "images" / "v0.png", "blue")
    (tmp_path / "val" / "val_annotations.txt").write_text("v0.png\tn2\t0\t0\t5\t5\n")
    images, kinds = read_image_folder(tmp_path / "train", 4)
    assert images.shape == (2, 4, 4, 3)
    assert kinds == ["n1", "n2"]
    assert images[0, 2, 2].tolist() == [255, 0, 0]
    assert read_image_folder(tmp_path / "val", 4)[1] == ["n2"]
    shown = next((tmp_path / "train").rglob("*.[jp]*g"))
    (shown.parent / f"._{shown.name}").write_bytes(b"resource fork")
    assert read_image_folder(tmp_path / "train", 4)[1] == kinds


def test_a_folder_without_images_and_a_damaged_image_are_errors(tmp_path):
    with pytest.raises(DataError, match="no images below"):
        read_image_folder(tmp_path, 4)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"x\.png cannot be read"):
        read_image_folder(tmp_path, 4)
    with pytest.raises(DataError, match="cannot be read"):
        read_image(b"nothing", 4)


def sound(path, seconds=0.1, rate=8_000, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)
    frames = np.repeat((20_000 * tone).astype("<i2")[:, None], channels, axis=1)
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, len(frames), "NONE", ""))
        file.writeframes(frames.tobytes())


def test_a_sound_is_made_mono_and_resampled(tmp_path):
    sound(tmp_path / "a.wav", channels=2)
    samples, rate = read_sound(tmp_path / "a.wav")
    assert (len(samples), rate) == (800, 8_000)
    doubled, rate = read_sound(tmp_path / "a.wav", 16_000)
    assert (len(doubled), rate) == (1_600, 16_000)
    peak = np.abs(np.fft.rfft(doubled)).argmax() * 16_000 / 1_600
    assert peak == pytest.approx(440, abs=11)
    (tmp_path / "b.wav").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"b\.wav cannot be read"):
        read_sound(tmp_path / "b.wav")


def test_esc50_and_speech_commands_are_read_with_their_splits(tmp_path):
    esc = tmp_path / "ESC-50"
    rows = [("1-7-A-3.wav", "1", "cow", "7"), ("5-8-A-4.wav", "5", "rain", "8")]
    for row in rows:
        sound(esc / "audio" / row[0])
    (esc / "meta").mkdir()
    with (esc / "meta" / "esc50.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("filename", "fold", "category", "src_file"), *rows])
    found = read_esc50(esc, 8_000)
    assert found.labels.tolist() == ["cow", "rain"]
    assert found.test.tolist() == [False, True]
    words = tmp_path / "words"
    for name in ("yes/abc_nohash_0.wav", "no/def_nohash_0.wav", "_background_noise_/hum.wav"):
        sound(words / name)
    (words / "testing_list.txt").write_text("yes/abc_nohash_0.wav\n")
    found = read_speech_commands(words, 8_000)
    assert found.labels.tolist() == ["no", "yes"]
    assert found.groups.tolist() == ["def", "abc"]
    assert found.test.tolist() == [False, True]
    with pytest.raises(DataError, match="is missing"):
        read_esc50(words)
    with pytest.raises(DataError, match="no sounds"):
        read_speech_commands(esc / "meta")


def test_plasticc_is_read_with_its_classes(tmp_path):
    (tmp_path / "t.csv").write_text(
        "object_id,mjd,passband,flux,flux_err,detected\n1,59000.5,2,10.0,0.5,1\n2,59001.5,0,-1.0,0.7,0\n"
    )
    (tmp_path / "m.csv").write_text("object_id,target\n1,90\n2,42\n")
    table, classes = read_plasticc(tmp_path / "t.csv", tmp_path / "m.csv")
    assert table.column_names == ["object", "time", "band", "flux", "error"]
    assert classes == {1: "90", 2: "42"}
    with pytest.raises(DataError, match="no column 'mjd'"):
        read_plasticc(tmp_path / "m.csv", tmp_path / "m.csv")


def test_elasticc_gives_the_observed_elements_in_order_of_time(tmp_path):
    h5py = pytest.importorskip("h5py")
    mask = np.zeros((2, 3, 2), dtype=bool)
    mask[0, 1, 0] = mask[0, 0, 1] = mask[1, 2, 1] = True
    time = np.arange(12.0).reshape(2, 3, 2)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["data"], file["data-var"] = 10 * time, np.full(time.shape, 4.0)
        file["time"], file["mask"], file["labels"] = time, mask, np.array([3, 5])
        file["test"] = np.array([1])
    table, classes, test = read_elasticc(tmp_path / "x.h5")
    assert table["object"].to_pylist() == [0, 0, 1]
    assert table["time"].to_pylist() == [1.0, 2.0, 11.0]
    assert table["band"].to_pylist() == [1, 0, 1]
    assert table["flux"].to_pylist() == [10.0, 20.0, 110.0]
    assert table["error"].to_pylist() == [2.0, 2.0, 2.0]
    assert classes == {0: "3", 1: "5"}
    assert test.tolist() == [1]
    with pytest.raises(DataError, match="it holds data"):
        read_elasticc(tmp_path / "x.h5", flux="fluxes")
