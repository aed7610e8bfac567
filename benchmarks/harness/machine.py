"""What a time depends on: processor, caches, system, versions, BLAS. No dates, names or paths."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..peers.contestants import cores

_PACKAGES = ("rnnsim-toolkit", "numpy", "scipy", "numba", "llvmlite", "torch", "jax", "jaxlib")
_VECTORS = ("avx512f", "avx2", "avx", "sse2", "sve", "asimd")  # the widest first

_TOLD = ("XLA_FLAGS", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")


def name() -> str:
    """What machines are told apart by: processor, family and model, widest vectors, cores."""
    values = _processor()
    numbers = " ".join(
        f"{label} {values[field]}"
        for field, label in (("cpu family", "family"), ("model", "model"))
        if field in values
    )
    flags = values.get("flags", values.get("Features", "")).split()
    widest = next((each for each in _VECTORS if each in flags), "")
    named = values.get("model name") or platform.processor() or platform.machine()
    counted = f"{cores()} core{'s' if cores() > 1 else ''}"
    return ", ".join(part for part in (named, numbers, widest, counted) if part)


def facts() -> dict[str, str]:
    """What the report says besides of machine and versions, by name."""
    found = {
        "caches": _caches(),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        **{package: _version(package) for package in _PACKAGES},
        "BLAS": _blas(),
        "set from outside": _settings(),
    }
    return {what: value for what, value in found.items() if value}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _processor() -> dict[str, str]:
    """What Linux says of the first processor; nothing elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    fields = dict(line.partition(":")[::2] for line in reversed(lines) if ":" in line)
    return {field.strip(): value.strip() for field, value in fields.items()}


def _caches() -> str:
    found = []
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = (
                (folder / name).read_text(encoding="utf-8").strip()
                for name in ("level", "type", "size")
            )
        except OSError:
            continue
        letter = {"Data": "d", "Instruction": "i"}.get(kind, "")
        found.append(f"L{level}{letter} {size}")
    return ", ".join(found)


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return ""
    return f"{total / 2**30:.0f} GiB"


def _blas() -> str:
    """Kernels of NumPy's BLAS, and of SciPy's, which compiled products use."""
    import scipy.linalg.cython_blas  # noqa: F401
    from threadpoolctl import threadpool_info

    libraries = [info for info in threadpool_info() if info["user_api"] == "blas"]
    words = (
        f"{info['internal_api']} {info['version']} ({info.get('architecture', 'unknown')} kernels)"
        for info in libraries
    )
    return "; ".join(sorted(set(words)))


def _settings() -> str:
    """Environment variables that set threads or the kind of processor for any of the libraries."""
    told = [n for n in os.environ if n.endswith("_NUM_THREADS") or n in _TOLD]
    return ", ".join(f"{each}={os.environ[each]}" for each in sorted(told))
