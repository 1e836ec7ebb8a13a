"""CSV of many hands: separators, decimal commas, blanks, and ids that look like numbers."""

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from caesura.data.config import Columns, DataConfig
from caesura.data.csv_file import read_csv
from caesura.data.door import open_data
from caesura.data.labels import read_labels
from caesura.errors import DataError

LONG = "id,time,value\na,0,1.5\na,1,2.5\nb,0,0.5\nb,1,1\n"


def written(tmp_path, text, name="x.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def opened(path, **columns):
    return open_data(str(path), DataConfig(columns=Columns(**columns), tokens="observation"))


@pytest.mark.parametrize(
    ("texts", "ids"),
    [
        (["007", "7", "0012"], ["007", "7", "0012"]),
        (["1E5", "7", "20"], ["1E5", "7", "20"]),
        (["12", "7", "-3"], [12, 7, -3]),
        (["1.0", "2.0", "3.0"], [1, 2, 3]),
        (["1.10", "1.1", "1.2"], ["1.10", "1.1", "1.2"]),
        (["+7", "7", "8"], ["+7", "7", "8"]),
        (["12345678901234567890", "1", "2"], ["12345678901234567890", "1", "2"]),
        (["2024-01-01", "2024-01-02", "2024-1-3"], ["2024-01-01", "2024-01-02", "2024-1-3"]),
        (["2024-01-01", "2024-01-02", "2024-01-03"], ["2024-01-01", "2024-01-02", "2024-01-03"]),
    ],
)
def test_ids_that_are_not_written_as_whole_numbers_are_text(texts, ids, tmp_path):
    rows = "".join(f"{one},{k},{k}\n" for one in texts for k in range(3))
    store, report = opened(written(tmp_path, "id,time,value\n" + rows))
    assert store.ids.to_pylist() == ids
    assert store.values.ravel().tolist() == [0, 1, 2] * 3
    assert not report.notices


def test_channels_groups_and_classes_keep_leading_zeros(tmp_path):
    rows = "id,time,value,ch,grp,kind\n1,0,1,01,005,07\n1,1,2,1,005,07\n2,0,1,01,5,7\n2,1,2,1,5,7\n"
    path = written(tmp_path, rows)
    store, _ = opened(path, channel="ch", group="grp", classes=("kind",))
    assert store.channels == ("01", "1")
    assert store.groups.tolist() == [0, 1]
    assert store.static_column("kind").to_pylist() == ["07", "7"]
    assert opened(path, static=("kind",))[0].static_column("kind").to_pylist() == ["07", "7"]


def test_an_empty_id_is_an_error_and_an_empty_label_none(tmp_path):
    path = written(tmp_path, "id,time,value\na,0,1\n,0,1\n")
    with pytest.raises(DataError, match="1 empty cells"):
        opened(path)
    store, _ = opened(written(tmp_path, LONG))
    labels = written(tmp_path, "id,kind\na,x\nb,y\nc,\n", "labels.csv")
    assert read_labels(labels, store, "id").target.classes == ("x", "y")


@pytest.mark.parametrize("data", ["csv", "parquet"])
@pytest.mark.parametrize("ids", [("007", "7"), ("100", "20")])
def test_labels_of_a_csv_find_their_series(ids, data, tmp_path):
    columns = {"id": [ids[0]] * 2 + [ids[1]] * 2, "time": [0, 1, 0, 1], "value": [1.0, 2, 3, 4]}
    table = pa.table(columns)
    path = tmp_path / f"x.{data}"
    table.to_pandas().to_csv(path, index=False) if data == "csv" else pq.write_table(table, path)
    labels = written(tmp_path, f"id,kind\n{ids[1]},x\n{ids[0]},y\n", "labels.csv")
    found = read_labels(labels, opened(path)[0], "id")
    assert found.series.tolist() == [1, 0]
    assert found.values.tolist() == [0, 1]


def test_a_number_is_not_found_by_text_with_zeros(tmp_path):
    store, _ = opened(written(tmp_path, "id,time,value\n7,0,1\n8,0,1\n"))
    labels = written(tmp_path, "id,kind\n007,x\n008,y\n", "labels.csv")
    with pytest.raises(DataError, match="none of the 2 ids is in the data, first: '007'"):
        read_labels(labels, store, "id")


def test_targets_with_leading_zeros_are_classes_of_their_own(tmp_path):
    store, _ = opened(written(tmp_path, LONG))
    labels = written(tmp_path, "id,code\na,01\nb,1\n", "labels.csv")
    assert read_labels(labels, store, "id").target.classes == ("01", "1")
    numbers = written(tmp_path, "id,y\na,1e-3\nb,0.5\n", "numbers.csv")
    assert read_labels(numbers, store, "id").values.ravel().tolist() == [0.001, 0.5]


@pytest.mark.parametrize(
    "text",
    [
        LONG.replace(",", ";"),
        LONG.replace(",", ";").replace(".", ","),
        LONG.replace(",", "\t"),
        LONG.replace(",", "|").replace(".", ","),
        LONG.replace(",", ", "),
        LONG.replace(",", " , "),
        LONG.replace(",", ", ").replace("id, time, value", "id,time,value"),
        "\ufeff" + LONG.replace(",", ";"),
        LONG.replace("\n", "\r\n"),
        LONG.replace("1.5", '"1.5"'),
    ],
)
def test_every_dialect_is_the_same_table(text, tmp_path):
    for name in ("x.csv", "x.csv.gz"):
        raw = text.encode()
        (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)
        store, report = opened(tmp_path / name)
        assert store.ids.to_pylist() == ["a", "b"]
        assert store.times.tolist() == [0, 1, 0, 1]
        assert store.values.ravel().tolist() == [1.5, 2.5, 0.5, 1]
        assert not report.notices


def test_tabs_by_the_name_of_the_file(tmp_path):
    assert opened(written(tmp_path, LONG.replace(",", "\t"), "x.tsv"))[0].ids.to_pylist() == [
        "a",
        "b",
    ]


def test_another_separator_and_decimal_commas_are_said(tmp_path, caplog):
    read_csv(written(tmp_path, LONG.replace(",", ";").replace(".", ",")), ("id",))
    assert "separated by semicolons" in caplog.text
    assert "decimal commas" in caplog.text


def test_empty_cells_among_decimal_commas_are_missing(tmp_path):
    text = "id;time;value\na;0;\na;0,5;2,5\na;1; \n"
    table = read_csv(written(tmp_path, text), ("id",))
    assert table["value"].to_pylist() == [None, 2.5, None]
    assert table["time"].to_pylist() == [0, 0.5, 1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id,time,value\na,0,1,234.5\n", "4 cells separated by commas, the header 3.*thousands"),
        ('id,time,value\na,0,"1,234.5"\n', r"'1,234\.5'.*without thousands separators"),
        ('id,time,value\na,0,"1,5"\n', "'1,5'.*decimals with a point"),
        ("id;time;value\na;0;1.234,5\na;1;2,5\n", r"'1\.234,5'.*without thousands separators"),
        ("id;time;value\na;0,5;1.234\na;1,0;2.500\n", r"'1\.234'.*without thousands separators"),
        ("id;time;value\na;0;1 234,5\n", "without thousands separators"),
        ("id,time,value\na,0,1\na,1,?\n", r"'\?'.*not measured"),
        ("# of 2024\nid,time,value\na,0,1\n", "nothing above the header"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(text, says, tmp_path):
    with pytest.raises(DataError, match=says):
        opened(written(tmp_path, text))
