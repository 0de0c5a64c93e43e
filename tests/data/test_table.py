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


def test_columns_may_have_any_names(pictures):
    lines = "".join(f"{row['path']},{row['label']},{i % 3 == 0}\n" for i, row in enumerate(rows()))
    table = write(pictures, f"image_id,Species,fold\n{lines}".replace("True", "val").replace("False", "train"))
    dataset = open_dataset(table, columns="image_id,species,fold")
    assert dataset.classes == ("cat", "dog")
    assert len(dataset.records("val")) == 14
    assert open_dataset(table, columns="image_id, Species").drawn
    with pytest.raises(DataError, match=r"no column 'path'; it has image_id, Species, fold; name those of .*--columns"):
        open_dataset(table)
    with pytest.raises(DataError, match="no column 'kind'; it has"):
        open_dataset(table, columns="image_id,kind")
    with pytest.raises(DataError, match="columns is 'image_id'; give the names of the columns as path,label"):
        open_dataset(table, columns="image_id")


def test_fastais_is_valid_divides(pictures):
    lines = "".join(f"{row['path']},{row['label']},{i % 4 == 0}\n" for i, row in enumerate(rows()))
    dataset = open_dataset(write(pictures, f"fname,label,is_valid\n{lines}".replace("fname", "path")))
    assert {name: len(records) for name, records in dataset.splits.items()} == {"train": 30, "val": 10}
    with pytest.raises(DataError, match="row 2: is_valid is 'maybe'; use True or False"):
        open_dataset(write(pictures, "path,label,is_valid\nimages/0.png,cat,maybe\n"))


def test_a_name_with_a_line_end_in_a_table(pictures):
    name = "images/odd\u2028\n name.png"
    (pictures / name).write_bytes((pictures / "images" / "0.png").read_bytes())
    lines = "\n".join(f"{row['path']},{row['label']}" for row in rows())
    dataset = open_dataset(write(pictures, f'path,label\n{lines}\n"{name}",dog\n'))
    assert name in {record.key for record in dataset.records("all")}
