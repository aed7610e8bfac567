"""`make dist`: what was built, installed by itself into an empty environment, draws a figure."""

import subprocess
import sys
import tempfile
from pathlib import Path


def main(folder):
    """Install each file of a folder by itself, and reproduce a published result with it."""
    built = sorted(folder.resolve().glob("*.whl")) + sorted(folder.resolve().glob("*.tar.gz"))
    assert len(built) == 2, f"a wheel and a source archive were expected, got {built}"
    for path in built:
        with tempfile.TemporaryDirectory() as place:
            environment = Path(place) / "environment"
            subprocess.run([sys.executable, "-m", "venv", environment], check=True)
            run = [environment / "bin" / "python", "-m"]
            options = ["--quiet", "--disable-pip-version-check"]
            subprocess.run([*run, "pip", "install", *options, path], check=True)
            command = ["reproduce", "influence-balancing", "--reduced", "--output", "drawn"]
            subprocess.run([*run, "analysis", *command], check=True, cwd=place)
            assert list(Path(place, "drawn").glob("*.png")), f"{path.name} draws nothing"
        print(f"{path.name}: installed, and a figure drawn")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
