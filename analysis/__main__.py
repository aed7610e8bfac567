"""The command line: ``rnnsim <analysis>``, in a checkout also ``python -m analysis <analysis>``."""

import shlex
import sys
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

import rnnsim
from rnnsim import checks
from rnnsim.experiments.scaling.dispatch import EngineError

from . import demo
from .diagnosis import command as diagnosis
from .dynamics import isometry, lyapunov, phase_diagram
from .explore import command as explore
from .frame import configuration, console, runs
from .frame.places import Place
from .frame.settings import TASK_HELP, as_flags, told
from .gradients import gradient_norms, truncation, window
from .networks import architectures, cells, depth, portrait
from .scaling import running, stores
from .scaling.settings import Scaling
from .spectra import nonnormal, spectra
from .training import temporal_order, training

app = App(
    name="rnnsim",
    help="Gradient flow in ensembles of recurrent networks: figures and the data behind them.",
    help_epilogue=TASK_HELP,
    error_formatter=told,
    version_flags=["--version"],
    default_parameter=Parameter(consume_multiple=True, negative_iterable=()),
    suppress_keyboard_interrupt=False,  # `main` says that it was interrupted
)
app.meta.suppress_keyboard_interrupt = False

Output = Annotated[
    Path | None,
    Parameter(
        help="Folder to write, a new or an empty one; unless given results/ and the name of the "
        "analysis, where an earlier run of it is replaced."
    ),
]
Overwrite = Annotated[
    bool, Parameter(help="Replace the run that is in the folder, whole.", negative=())
]
Source = Annotated[
    Path | None,
    Parameter(
        name="--from",
        help="Folder of an earlier run: draw its data again, compute nothing. Takes no settings.",
    ),
]
Progress = Annotated[bool, Parameter(help="Show progress bars, on a terminal.")]


OTHERS = ("demo", "read", "diagnose", "explore", "merge", "status", "help")
ANALYSES: tuple[runs.Analysis, ...] = (
    gradient_norms,
    truncation,
    spectra,
    lyapunov,
    phase_diagram,
    isometry,
    nonnormal,
    portrait,
    cells,
    depth,
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
        overwrite: Overwrite = False,
        source: Source = None,
        scaling: Annotated[Scaling | None, Parameter(name="*")] = None,
        progress: Progress = True,
    ) -> None:
        if source is not None and settings is not None:
            _refuse_settings(settings)
        place = Place(output or folder, usual=output is None, overwrite=overwrite)
        with as_flags(kind):
            sentences = run(
                settings or kind(),
                output=place,
                source=source,
                progress=progress,
                scaling=scaling or Scaling(),
            )
        for sentence in sentences:
            console.say(sentence)

    # Flags are read off annotations, and a type that is a variable cannot be written as one.
    command.__annotations__["settings"] = Annotated[kind | None, Parameter(name="*")]
    app.command(command, name=name, help=summary, help_epilogue="")


def _refuse_settings(settings: Any) -> None:
    """`--from` computes nothing, so that settings would mean nothing."""
    usual = type(settings)()
    names = [
        f.name for f in fields(settings) if getattr(settings, f.name) != getattr(usual, f.name)
    ]
    flags = ", ".join(f"--{name.replace('_', '-')}" for name in names) or "settings"
    raise ValueError(
        f"`--from` draws data as they were computed and takes no settings, got {flags}; leave them "
        "out, also those in a file of --config"
    )


for _analysis in ANALYSES:
    _name = runs.name_of(_analysis)
    _run = partial(running.run, _analysis)
    _add_command(_name, _analysis.HELP, _analysis.Settings, _run, Path("results") / _name)
_add_command("demo", demo.HELP, demo.Settings, running.all_of(demo.run), Path("results"))


@app.command(name="read", help_epilogue="")
def _read(file: Annotated[Path, Parameter(help="A file of weights, of any framework.")], /) -> None:
    """What a file of weights holds: networks, readouts, embeddings, and what is not understood."""
    with checks.renamed(path="`FILE`"):
        console.say(str(rnnsim.describe(file)))


@app.command(
    name="diagnose", help=diagnosis.HELP, help_epilogue="",
    usage="Usage: rnnsim diagnose FILE [OTHER] [OPTIONS]",
)  # fmt: skip
def _diagnose(
    file: Annotated[Path, Parameter(help="A file of weights, of any framework.")],
    other: Annotated[Path | None, Parameter(name="FILE", help="Another one, side by side.")] = None,
    /,
    *,
    settings: Annotated[diagnosis.Settings | None, Parameter(name="*")] = None,
    output: Annotated[
        Path | None, Parameter(help="A report to write: one HTML file with figures.")
    ] = None,
    overwrite: Annotated[bool, Parameter(help="Replace the report.", negative=())] = False,
    json: Annotated[
        bool, Parameter(help="Print all numbers as JSON, and nothing else.", negative=())
    ] = False,
    progress: Progress = True,
) -> None:
    with as_flags(diagnosis.Settings):
        diagnosis.run(
            [file] if other is None else [file, other],
            settings or diagnosis.Settings(),
            output=output,
            overwrite=overwrite,
            as_json=json,
            progress=progress,
            command=shlex.join(["rnnsim", *sys.argv[1:]]),
        )


@app.command(name="explore", help=explore.HELP, help_epilogue="")
def _explore(
    *,
    settings: Annotated[explore.Settings | None, Parameter(name="*")] = None,
    output: Annotated[
        Path | None,
        Parameter(help="The page to write; unless given results/explore.html, which is replaced."),
    ] = None,
    overwrite: Annotated[bool, Parameter(help="Replace the page.", negative=())] = False,
    progress: Progress = True,
) -> None:
    with as_flags(explore.Settings):
        explore.run(
            settings or explore.Settings(),
            output=output,
            overwrite=overwrite,
            progress=progress,
            command=shlex.join(["rnnsim", *sys.argv[1:]]),
        )


@app.command(name="merge", help_epilogue="")
def _merge(
    folder: Annotated[Path, Parameter(help="The --store of a command whose shards are done.")],
    /,
    *,
    output: Output = None,
    overwrite: Overwrite = False,
) -> None:
    """Put the shards of a command together: its figures and data, as if it had run in one piece."""
    name = stores.command_of(folder)
    words = [name, "--store", str(folder), *["--overwrite"] * overwrite]
    words += [] if output is None else ["--output", str(output)]
    with running.whole():
        _with_configuration(*words, config=folder / stores.SETTINGS)


@app.command(name="status", help_epilogue="")
def _status(
    folder: Annotated[Path, Parameter(help="The --store of a command, or a sweep's.")], /
) -> None:
    """What of a store is done, running, failed and damaged, and how long the rest will take."""
    for sentence in stores.told(folder):
        console.say(sentence)


@app.command(name="help", help_epilogue="")
def _help(
    command: Annotated[str | None, Parameter(help="Which; all of them unless given.")] = None,
) -> None:
    """What a command does, and all its flags."""
    if command is not None:
        checks.one_of("command", command, (*map(runs.name_of, ANALYSES), *OTHERS))
    app.help_print([] if command is None else [command])


@app.meta.default
def _with_configuration(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    config: Annotated[Path | None, Parameter(help="TOML file with values for any flag.")] = None,
) -> None:
    app.config = None if config is None else configuration.flags_from(config, app)
    try:
        app(tokens)
    finally:
        app.config = None  # a file is for one call


def main() -> None:
    """Entry point; misuse and files that cannot be used end with one line, not a traceback."""
    try:
        with console.warnings_told():
            app.meta(sys.argv[1:])
    except BrokenPipeError:  # of help; who reads figures goes on without a reader
        console.hush()
    except (ValueError, TypeError, OSError, MemoryError, ImportError, EngineError) as error:
        print(f"rnnsim: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("rnnsim: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
