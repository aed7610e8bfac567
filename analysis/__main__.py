"""The command line: ``rnnsim <analysis>``, in a checkout also ``python -m analysis <analysis>``."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import cyclopts
from cyclopts import App, Parameter

from . import demo
from .dynamics import isometry, lyapunov, phase_diagram
from .frame import runs
from .frame.settings import Ensemble
from .gradients import gradient_norms, truncation, window
from .networks import architectures, portrait
from .spectra import nonnormal, spectra
from .training import temporal_order, training

app = App(
    name="rnnsim",
    help="Gradient flow in ensembles of recurrent networks: figures and the data behind them.",
    version_flags=["--version"],
    default_parameter=Parameter(consume_multiple=True, negative_iterable=()),
)

Output = Annotated[
    Path | None,
    Parameter(help="Folder to write; results/ and the name of the analysis unless given."),
]
Source = Annotated[
    Path | None,
    Parameter(
        name="--from", help="Folder of an earlier run: draw its data again, compute nothing."
    ),
]
Progress = Annotated[bool, Parameter(help="Show progress bars, on a terminal.")]


ANALYSES: tuple[runs.Analysis, ...] = (
    gradient_norms,
    truncation,
    spectra,
    lyapunov,
    phase_diagram,
    isometry,
    nonnormal,
    portrait,
    temporal_order,
    training,
    window,
    architectures,
)


def _add_command(
    name: str, summary: str, kind: type[Any], run: Callable[..., list[str]], folder: Path
) -> None:
    """A command whose flags are the fields of `kind`; it prints the sentences of a run."""

    def command(
        *,
        settings: Any = None,
        output: Output = None,
        source: Source = None,
        progress: Progress = True,
    ) -> None:
        for sentence in run(
            settings or kind(), output=output or folder, source=source, progress=progress
        ):
            print(sentence)

    # Flags are read off annotations, and a type that is a variable cannot be written as one.
    command.__annotations__["settings"] = Annotated[kind | None, Parameter(name="*")]
    app.command(command, name=name, help=summary)


for _analysis in ANALYSES:
    _name = runs.name_of(_analysis)
    _run = partial(runs.run, _analysis)
    _add_command(_name, _analysis.HELP, _analysis.Settings, _run, Path("results") / _name)
_add_command("demo", demo.HELP, Ensemble, demo.run, Path("results"))


@app.meta.default
def _with_configuration(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    config: Annotated[Path | None, Parameter(help="TOML file with values for any flag.")] = None,
) -> None:
    if config is not None:
        app.config = cyclopts.config.Toml(config, must_exist=True, use_commands_as_keys=False)
    app(tokens)


def main() -> None:
    """Entry point; misuse and files that cannot be used end with one line, not a traceback."""
    try:
        app.meta()
    except (ValueError, TypeError, OSError, MemoryError) as error:
        print(f"rnnsim: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("rnnsim: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
