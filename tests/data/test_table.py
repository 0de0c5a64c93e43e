import pandas
import pytest
from drawn import draw

from convlens.data import DataError, open_dataset


@pytest.fixture
def pictures(tmp_path):
    for i in range(40):
        draw(tmp_path / "images" / f"{i}.png", seed=i)
    return tmp_path


def rows(count=40, split=False):
    return [
        {
            "path": f"images/{i}.png",
            "label": ("cat", "dog")[i % 2],
            **({"split": ("train", "val")[i % 4 == 3]} if split else {}),
        }
        for i in range(count)
    ]


def write(folder, content, name="table.csv"):
    (folder / name).write_text(content, encoding="utf-8")
    return folder / name


def test_csv_and_parquet_say_the_same(pictures):
    table = pandas.DataFrame(rows(split=True))
    table.to_csv(pictures / "table.csv", index=False)
    table.to_parquet(pictures / "table.parquet")
    of_csv, of_parquet = open_dataset(pictures / "table.csv"), open_dataset(pictures / "table.parquet")
    assert of_csv.fingerprint() == of_parquet.fingerprint()
    assert {name: len(records) for name, records in of_csv.splits.items()} == {"train": 30, "val": 10}
    assert of_csv.classes == ("cat", "dog")
    assert of_csv.read(of_csv.records("val")[0]).shape == (6, 9, 3)


def test_a_table_without_splits_is_split_as_the_folder_would_be(pictures):
    pandas.DataFrame(rows()).to_csv(pictures / "table.csv", index=False)
    dataset = open_dataset(pictures / "table.csv")
    assert set(dataset.splits) == {"train", "val", "test"}
    assert len(dataset.records("all")) == 40


def test_spreadsheets_write_semicolons_and_a_mark_at_the_start(pictures):
    lines = "\n".join(f"{row['path']};{row['label']}" for row in rows())
    assert len(open_dataset(write(pictures, f"\ufeffPath;Label\n{lines}")).records("all")) == 40


def test_absolute_paths_are_taken(pictures):
    lines = "\n".join(f"{pictures}/{row['path']},{row['label']}" for row in rows())
    dataset = open_dataset(write(pictures, f"path,label\n{lines}"))
    assert dataset.records("all")[0].key.startswith("images/")


def test_rows_that_cannot_be_used_are_bad_files(pictures):
    lines = "\n".join(f"{row['path']},{row['label']}" for row in rows())
    table = write(pictures, f"path,label\n{lines}\nimages/gone.png,cat\nimages/0.png,\n,dog\n")
    dataset = open_dataset(table, max_bad=0.1)
    reasons = {file.key: file.reason for file in dataset.bad_files}
    assert reasons["images/0.png"] == "row 43 has no label"
    assert reasons["row 44"] == "row 44 has no path"
    assert "No such file" in reasons["images/gone.png"]
    assert len(dataset.records("all")) == 40  # the other row of 0.png has a label


def test_repeated_rows_are_said_and_contradictions_refused(pictures):
    lines = "\n".join(f"{row['path']},{row['label']}" for row in rows())
    dataset = open_dataset(write(pictures, f"path,label\n{lines}\nimages/0.png,cat\n"))
    assert "ignored 1 row(s) that repeat an image" in dataset.notes
    with pytest.raises(DataError, match=r"row 42: images/0\.png has two labels, 'cat' and 'dog'; keep one row"):
        open_dataset(write(pictures, f"path,label\n{lines}\nimages/0.png,dog\n"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty; expected the columns path,label"),
        ("path,kind\na.png,cat\n", "has no column 'label'; it has path, kind; name those of path,label"),
        ("path,label\n", "has no rows below the names of its columns; add one for each image"),
        ("where,label\na.png,cat\n", "has no column 'path'; it has where, label"),
        ("path,label,split\na.png,cat,tran\n", "row 2: split 'tran'; use train, val or test"),
    ],
)
def test_a_table_of_another_kind_is_refused(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        open_dataset(write(tmp_path, content))


def test_files_that_are_no_tables_are_refused(tmp_path):
    (tmp_path / "table.parquet").write_text("path,label")
    with pytest.raises(DataError, match=r"table\.parquet is no Parquet file"):
        open_dataset(tmp_path / "table.parquet")
    (tmp_path / "table.csv").write_bytes(b"path,label\n\xff\xfe,cat\n")
    with pytest.raises(DataError, match="is not UTF-8"):
        open_dataset(tmp_path / "table.csv")
