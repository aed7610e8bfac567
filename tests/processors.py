"""Run a command as on processors without some of this one's vector units, for the Makefile.

``python tests/processors.py pytest ...`` runs it once for every entry of `LESS` that this processor
has, with the variables by which NumPy, Numba and OpenBLAS are told to leave it alone.
"""

import os
import subprocess
import sys
from typing import NamedTuple

import numpy as np


class Less(NamedTuple):
    """Beginnings of the names of NumPy's features, and processors that Numba and OpenBLAS know."""

    features: tuple[str, ...]
    numba: str
    openblas: str


_AVX512 = ("AVX512", "X86_V4")
LESS = {
    "AVX-512": Less(_AVX512, "x86-64-v3", "Haswell"),
    "FMA": Less((*_AVX512, "X86_V3", "FMA3", "AVX2"), "x86-64-v2", "Nehalem"),
}


def variables(less):
    """The environment without these features, or None where this processor has none of them."""
    # What is built for several processors and found on this one: NumPy refuses to leave out others.
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    present = [name for name in found if name.startswith(LESS[less].features)]
    if not present:
        return None
    before = os.environ.get("NPY_DISABLE_CPU_FEATURES", "")
    return {
        "NPY_DISABLE_CPU_FEATURES": ",".join([before, *present] if before else present),
        "NUMBA_CPU_NAME": LESS[less].numba,
        "NUMBA_CPU_FEATURES": "",  # unless it is given Numba takes those of this processor
        "OPENBLAS_CORETYPE": LESS[less].openblas,
    }


def main(command):
    """Run the command for all entries at the same time; the first exit code that is not 0."""
    runs = {}
    for less in LESS:
        environment = variables(less)
        if environment is None:
            print(f"this processor has no {less}: nothing to leave out")
            continue
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        runs[less] = subprocess.Popen(command, env=os.environ | environment, **pipes)
    codes = []
    for less, run in runs.items():
        shown, _ = run.communicate()
        print(f"as on a processor without {less}", shown, sep="\n", flush=True)
        codes.append(run.returncode)
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
