"""The lanes of `make test-processors` are what they say: what the settings leave out is out."""

import json
import os
import subprocess
import sys

import processors
import pytest
from builders import NOJIT

CODE = """
import json, numba, numpy as np, scipy.linalg, threadpoolctl

@numba.njit(fastmath={"reassoc", "contract"})
def inner(a, b):
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total

inner(np.ones(99), np.ones(99))
print(json.dumps({
    "numpy": np.show_config(mode="dicts")["SIMD Extensions"].get("found", []),
    "numba": next(iter(inner.inspect_asm().values())),
    "openblas": [p["architecture"] for p in threadpoolctl.threadpool_info() if "architecture" in p],
}))
"""
MARKS = {"AVX-512": "zmm", "FMA": "vfmadd"}  # registers and instructions of theirs


@pytest.mark.skipif(NOJIT, reason="nothing is compiled")
@pytest.mark.parametrize("less", processors.LESS)
def test_what_is_left_out_is_out(less):
    given = processors.variables(less)
    if given is None:
        pytest.skip(f"this processor has no {less}, or another setting took it away")
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | given
    )
    assert done.stderr == ""
    found, features, _, openblas = json.loads(done.stdout), *processors.LESS[less]
    assert not [name for name in found["numpy"] if name.startswith(features)]
    assert MARKS[less] not in found["numba"]
    assert set(found["openblas"]) <= {openblas}


def test_a_lane_that_fails_fails_the_command(monkeypatch):
    monkeypatch.setattr(processors, "variables", lambda less: {"LESS": less})
    code = "import os, sys; sys.exit(3 * (os.environ['LESS'] == 'AVX-512'))"
    assert processors.main([sys.executable, "-c", code]) == 3
    assert processors.main([sys.executable, "-c", ""]) == 0
    monkeypatch.setattr(processors, "variables", lambda less: None)
    assert processors.main([sys.executable, "-c", "import sys; sys.exit(1)"]) == 0
