"""No file of Keras, ONNX or Flax takes memory beyond about twice its size, whatever it claims."""

import sys

import bombs
import pytest

for package in ("h5py", "onnx", "msgpack"):
    pytest.importorskip(package)
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
SPARE = 20 << 20


def taken(files):
    """What is said of each file, and the bytes it took beyond twice its size."""
    for (_, path), (words, most) in zip(files, bombs.used(files), strict=True):
        yield path.name, words, most - 2 * path.stat().st_size


def test_files_that_unfold(tmp_path):
    files, words = [], {}
    for kind, made in (("onnx_files", bombs.onnx_bombs()), ("flax_files", bombs.msgpack_bombs())):
        for name, data in made.items():
            (tmp_path / name).write_bytes(data)
            files.append((kind, tmp_path / name))
            words[name] = "more than twice as much in memory"
    bombs.doubled(tmp_path / "doubled")
    bombs.unfolding(tmp_path / "unfolding")
    bombs.worded(tmp_path / "worded")
    files += [("onnx_files", tmp_path / "doubled"), ("keras_files", tmp_path / "unfolding")]
    files += [("keras_files", tmp_path / "worded")]
    words |= {"doubled": "into more than the file holds", "unfolding": "unfolds from"}
    words["worded"] = "its configuration has 4000002 values"
    words |= dict.fromkeys(bombs.msgpack_bombs(), "far more objects than arrays need")
    words["claimed bytes"] = "it is cut off"
    for name, said, beyond in taken(files):
        assert words[name] in said, name
        assert beyond < SPARE, name


def test_honest_large_files(tmp_path):
    """Every array is read, one after the other."""
    for name, said, beyond in taken(bombs.honest(tmp_path)):
        assert "file" in said
        assert "cannot" not in said
        assert beyond < SPARE, name
