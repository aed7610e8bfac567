"""Tables of numbers in text: names of columns, targets, and what is wrong in which row."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import rnnsim
from rnnsim.importing.data_files import open_data

pytestmark = pytest.mark.nojit


@pytest.fixture
def table(tmp_path):
    def write(text, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_rows_are_steps_and_columns_are_inputs(table):
    batch = rnnsim.read_sequences(table("1,2\n3,4.5\n-5e-1,6\n"))
    assert batch.inputs.tolist() == [[[1, 2]], [[3, 4.5]]]
    assert batch.targets.tolist() == [[[3, 4.5]], [[-0.5, 6]]]
    data = open_data(table("1,2\n3,4.5\n-5e-1,6\n"))
    assert (data.kind, data.sizes(), data.longest, data.n_sequences) == ("stream", (2, 2), 2, None)


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n3,4\n5,6\n",
        "\ufeff a , b\r\n1, 2\r\n\r\n3,4\r\n5,6",
        '"a";"b"\n1;2\n3;4\n5;6\n',
        "a\tb\n+1\t2.0\n3\t4e0\n05\t6\n",
    ],
)
def test_names_and_ways_of_writing_change_nothing(table, text):
    assert_array_equal(rnnsim.read_sequences(table(text)).inputs, [[[1.0, 2.0]], [[3.0, 4.0]]])


def test_columns_of_targets(table):
    batch = rnnsim.read_sequences(table("x,Target,y\n1,0,2\n3,2,4\n"))
    assert batch.inputs.tolist() == [[[1, 2]], [[3, 4]]]
    assert batch.targets.tolist() == [[0], [2]]
    assert batch.has_classes
    values = rnnsim.read_sequences(table("x,target\n1,0.0\n3,2\n"))
    assert values.targets.tolist() == [[[0]], [[2]]]
    several = rnnsim.read_sequences(table("targets_a,x,targets_b\n1,0,2\n3,2,4\n"))
    assert several.inputs.tolist() == [[[0]], [[2]]]
    assert several.targets.tolist() == [[[1, 2]], [[3, 4]]]


def test_columns_of_weights_and_mask(table):
    batch = rnnsim.read_sequences(table("x,target,weight,mask\n1,0,2,1\n3,-100,4,1\n5,1,1,0\n"))
    assert batch.weights.tolist() == [[2], [0], [0]]
    assert batch.n_inputs == 1


def test_windows_of_a_table_keep_rows_together(table):
    rows = "\n".join(f"{i},{10 * i},{i % 3}" for i in range(40))
    batch = rnnsim.read_sequences(table(f"a,b,target\n{rows}"), length=5, batch_size=8)
    assert_array_equal(batch.inputs[..., 1], 10 * batch.inputs[..., 0])
    assert_array_equal(batch.targets, batch.inputs[..., 0] % 3)
    assert_array_equal(np.diff(batch.inputs[..., 0], axis=0), 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3,x\n", r"row 3, column 2 \('b'\) must be a finite number, got 'x'; replace"),
        ("1,2\n3,nan\n", "row 2, column 2 must be a finite number, got 'nan'"),
        ("1,2\n-inf,1\n", "row 2, column 1 must be a finite number, got '-inf'"),
        ("1,2\n1,1e999\n", "row 2, column 2 must be a finite number, got '1e999'"),
        ("1,2\n3,\n", "row 2, column 2 must be a finite number, got nothing"),
        ("1,2\n3,1_0\n", "row 2, column 2 must be a finite number, got '1_0'"),
        ("1,2\n\n3\n", "row 3 must have 2 columns as the first, got 1"),
        ("1,a\n2,3\n", "the first row must hold names or numbers, got both: 'a' in column 2"),
        (",x\n0,3\n", "column 1 has no name, as where pandas writes an index; leave that out"),
        ("x,x\n0,3\n", "two columns are named 'x'; rename one"),
        ("target\n0\n", "it must have a column of inputs besides targets and weights"),
        ("x,mask,Mask\n0,1,1\n", "it must have one column of mask, got 2"),
        ("x,target\n0,1\n1,-1\n", "`targets` must be class ids .* got -1 at"),
        ("x,mask\n0,1\n1,0.5\n", r"`mask` must hold booleans, or 0 and 1, got 0.5 at \[1, 0\]"),
        ("x,target,mask\n0,1,0\n", "it must hold a step with loss, but weights, mask and"),
        ("x,y\n", "it holds no rows of numbers"),
        ("\n\n", "it holds no rows of numbers"),
        ("1,2\n", "it must hold targets, as one step has no next input"),
        ('1,"2\n', "row 1 is no row of a table"),
        (b"1,2\n\xff,1\n", "it must be text in UTF-8, got invalid start byte at byte 4"),
        ("1,2\n3,4\n".encode("utf-16-le"), "it must be text in UTF-8, got zero bytes"),
        ("0,5;1\n1,5;2\n", "the first row must hold names or numbers, got both: '0,5' in column 1"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused_by_place(table, text, message):
    with pytest.raises(ValueError, match=f"^`path` 'table.csv': {message}"):
        rnnsim.read_sequences(table(text))
