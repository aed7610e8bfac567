"""What a time depends on: processor, caches, system, versions, BLAS. No dates, names or paths."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..peers.contestants import cores

_PACKAGES = ("numpy", "scipy", "numba", "llvmlite", "torch", "jax", "jaxlib")


def facts() -> dict[str, str]:
    """What the report says of machine and versions, by name."""
    found = {
        "processor": _processor(),
        "cores used": str(cores()),
        "caches": _caches(),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        **{name: _version(name) for name in _PACKAGES},
        "BLAS": _blas(),
        "set from outside": _settings(),
    }
    return {name: value for name, value in found.items() if value}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    """The processor's name and the widest vectors that it has."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    fields = dict(line.partition(":")[::2] for line in reversed(lines) if ":" in line)
    values = {name.strip(): value.strip() for name, value in fields.items()}
    flags = values.get("flags", "").split()
    widest = next((name for name in ("avx512f", "avx2", "avx", "sse2") if name in flags), "")
    numbers = " ".join(
        f"{name} {values[name]}" for name in ("cpu family", "model", "stepping") if name in values
    )
    name = values.get("model name") or platform.processor() or platform.machine()
    return ", ".join(part for part in (name, numbers, widest) if part)


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
    return "; ".join(dict.fromkeys(words))


def _settings() -> str:
    """Environment variables that set numbers of threads for any of the libraries."""
    names = [name for name in os.environ if name.endswith("_NUM_THREADS") or name == "XLA_FLAGS"]
    return ", ".join(f"{name}={os.environ[name]}" for name in sorted(names))
