"""Files that claim or unfold to far more than they hold, honest large ones, and what they take."""

import json
import subprocess
import sys
import zipfile

import numpy as np
from oracles import FIXTURES

MANY = 1_000_000
# Each file is read by a process of its own, forked from one that has loaded the packages.
_MEASURED = """
import importlib, json, os, resource, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
for name in ("h5py", "onnx", "onnx.numpy_helper", "msgpack"):
    importlib.import_module(name)
files = json.loads(sys.argv[1])
modules = [importlib.import_module(f"rnnsim.importing.formats.{kind}") for kind, _ in files]
for module, (_, path) in zip(modules, files):
    if os.fork():
        assert os.wait()[1] == 0, path
        continue
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    try:
        found = module.contents(Path(path))
        for entry in found.entries.values():
            entry.read()
        words = found.format
    except ValueError as error:
        words = str(error)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps([words, most - before]), flush=True)
    os._exit(0)
"""


def used(files):
    """Of each (reader, path) what is said of the file, and the bytes that reading it took."""
    given = json.dumps([(kind, str(path)) for kind, path in files])
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, given], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def varint(n):
    out = b""
    while n > 0x7F:
        out, n = out + bytes([n & 0x7F | 0x80]), n >> 7
    return out + bytes([n])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def onnx_bombs():
    """Protobufs of two bytes each."""
    many = b"\x0a\x00" * MANY
    found = {
        "nodes": field(7, many),
        "attributes": field(7, field(1, b"\x2a\x00" * MANY)),
        "tensors": field(7, b"\x2a\x00" * MANY),
        "names": field(7, field(1, many)),
        "numbers": field(7, field(5, field(7, b"\x01" * (20 * MANY)))),
        "shapes": field(7, field(5, field(1, b"\x01" * (20 * MANY)))),
        "inputs": field(7, field(11, field(2, field(1, field(2, many))))),
        "functions": b"\xca\x01\x00" * MANY,
    }
    return {name: b"\x08\x0a" + data for name, data in found.items()}


def doubled(path):
    """A graph whose weights are a = concat(a, a), forty times."""
    import onnx

    made = onnx.load(FIXTURES / "gru_dynamo.onnx")
    gru = next(node for node in made.graph.node if node.op_type == "GRU")
    name, nodes = gru.input[1], []
    for k in range(40):
        nodes.append(onnx.helper.make_node("Concat", [name, name], [f"c{k}"], axis=0))
        name = f"c{k}"
    gru.input[1] = name
    rest = [*made.graph.node]
    del made.graph.node[:]
    made.graph.node.extend([*nodes, *rest])
    onnx.save(made, path)


def msgpack_bombs():
    length = (4 * MANY).to_bytes(4, "big")
    return {
        "empty maps": b"\x81\xa1a\xdd" + length + b"\x80" * (4 * MANY),
        "nothing": b"\x81\xa1a\xdd" + length + b"\xc0" * (4 * MANY),
        "claimed lists": (b"\xdd\x00\x0f\x00\x00" * 400).ljust(1 << 22, b"\xc0"),
        "claimed bytes": b"\x81\xa1a\xc6\xff\xff\xff\xff",
        "deep": b"\x91" * 200_000 + b"\xc0",
    }


def unfolding(path):
    """A .keras file whose weights are 200 MB of nothing."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", bytes(200 << 20))


def worded(path):
    """A .keras file whose configuration is millions of empty lists."""
    with zipfile.ZipFile(FIXTURES / "gru.keras") as given, zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", f"[{'[],' * 2 * MANY}[]]")
        archive.writestr("model.weights.h5", given.read("model.weights.h5"))


def honest(folder):
    """Files of 64 MB of numbers."""
    import h5py
    import msgpack
    import onnx

    rows = np.zeros((MANY, 16), "f4")
    array = msgpack.ExtType(1, msgpack.packb((rows.shape, "float32", rows.tobytes())))
    (folder / "big.msgpack").write_bytes(msgpack.packb({"emb": {"embedding": array}}))
    made = onnx.load(FIXTURES / "ids_legacy.onnx")
    tensor = next(each for each in made.graph.initializer if each.name == "emb.weight")
    tensor.CopyFrom(onnx.numpy_helper.from_array(rows, "emb.weight"))
    onnx.save(made, folder / "big.onnx")
    with h5py.File(folder / "big.weights.h5", "w") as file:
        file["layers/embedding/vars/0"] = rows
    with zipfile.ZipFile(folder / "big.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.write(folder / "big.weights.h5", "model.weights.h5")
    names = {"msgpack": "flax_files", "onnx": "onnx_files"}
    files = ("big.msgpack", "big.onnx", "big.weights.h5", "big.keras")
    return [(names.get(n.rpartition(".")[2], "keras_files"), folder / n) for n in files]
