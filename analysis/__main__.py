"""The command line: ``rnnsim <analysis>``, in a checkout also ``python -m analysis <analysis>``."""

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from .commands.demo import DEMO
from .commands.diagnosis import DIAGNOSE, Diagnose
from .commands.dynamics import ISOMETRY, LYAPUNOV, PHASE_DIAGRAM
from .commands.explore import EXPLORE, Explore
from .commands.gradients import GRADIENT_NORMS, TRUNCATION, WINDOW
from .commands.networks import ARCHITECTURES, CELLS, DEPTH, PORTRAIT
from .commands.published import EPILOGUE, REPRODUCE, Reproduce
from .commands.spectra import NONNORMAL, SPECTRA
from .commands.training import TEMPORAL_ORDER, TRAINING
from .frame import console
from .frame.looks import Look, worn
from .frame.settings import OUTPUT, TASK_EPILOGUE, Command, as_flags, told
from .scaling.settings import COMPILE, Compile, Scaling

app = App(
    name="rnnsim",
    help="Gradient flow in ensembles of recurrent networks: figures and the data behind them.",
    help_format="plaintext",  # what formats text takes as long to load as all the rest
    help_epilogue=TASK_EPILOGUE,
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
        "analysis, where an earlier run of it is replaced.",
        group=OUTPUT,
    ),
]
Overwrite = Annotated[
    bool, Parameter(help="Replace the run that is in the folder, whole.", negative=(), group=OUTPUT)
]
Source = Annotated[
    Path | None,
    Parameter(
        name="--from",
        help="Folder of an earlier run: draw its data again, compute nothing. Takes no settings.",
        group=OUTPUT,
    ),
]
Progress = Annotated[
    bool, Parameter(help="Show how far it is: a bar on a terminal, else lines.", group=OUTPUT)
]

ANALYSES: tuple[Command, ...] = (
    GRADIENT_NORMS,
    TRUNCATION,
    SPECTRA,
    LYAPUNOV,
    PHASE_DIAGRAM,
    ISOMETRY,
    NONNORMAL,
    PORTRAIT,
    CELLS,
    DEPTH,
    TEMPORAL_ORDER,
    TRAINING,
    WINDOW,
    ARCHITECTURES,
)
OTHERS = (
    "demo", "read", "diagnose", "explore", "reproduce", "merge", "status", "compile", "help",
)  # fmt: skip


def _add_command(
    name: str,
    summary: str,
    kind: type[Any],
    run: Callable[..., list[str]],
    folder: Path,
    examples: Sequence[str] = (),
) -> None:
    """A command whose flags are the fields of `kind`; it prints the sentences of a run."""

    def command(
        *,
        settings: Any = None,
        output: Output = None,
        overwrite: Overwrite = False,
        source: Source = None,
        scaling: Annotated[Scaling | None, Parameter(name="*")] = None,
        look: Annotated[Look | None, Parameter(name="*")] = None,
        progress: Progress = True,
    ) -> None:
        if source is not None and settings is not None:
            _refuse_settings(settings)
        from .frame.places import Place

        place = Place(output or folder, usual=output is None, overwrite=overwrite)
        with as_flags(kind), worn(look or Look()):
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
    app.command(command, name=name, help=summary, help_epilogue=_told_by_example(examples))


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


def _told_by_example(examples: Sequence[str]) -> str:
    """What stands below the flags of a command."""
    return "\n".join(
        ["Examples:", *(f"  rnnsim {example}" for example in examples)] * bool(examples)
    )


def _run(analysis: Command, settings: Any, **options: Any) -> list[str]:
    """Load an analysis, and run it where and as flags say."""
    from .scaling import running

    return running.run(analysis.load(), settings, **options)


def _run_demo(settings: Any, **options: Any) -> list[str]:
    """The same of all parts of the demo."""
    from .scaling import running

    return running.all_of(DEMO.load().run)(settings, **options)


for _each in ANALYSES:
    _add_command(
        _each.name, _each.help, _each.settings, partial(_run, _each), Path("results") / _each.name,
        _each.examples,
    )  # fmt: skip
_add_command("demo", DEMO.help, DEMO.settings, _run_demo, Path("results"), DEMO.examples)


@app.command(name="read", help_epilogue="")
def _read(file: Annotated[Path, Parameter(help="A file of weights, of any framework.")], /) -> None:
    """What a file of weights holds: networks, readouts, embeddings, and what is not understood."""
    import rnnsim
    from rnnsim import checks

    with checks.renamed(path="`FILE`"):
        console.say(str(rnnsim.describe(file)))


@app.command(
    name="diagnose", help=DIAGNOSE.help, help_epilogue=_told_by_example(DIAGNOSE.examples),
    usage="Usage: rnnsim diagnose FILE [OTHER] [OPTIONS]",
)  # fmt: skip
def _diagnose(
    file: Annotated[Path, Parameter(help="A file of weights, of any framework.")],
    other: Annotated[Path | None, Parameter(name="FILE", help="Another one, side by side.")] = None,
    /,
    *,
    settings: Annotated[Diagnose | None, Parameter(name="*")] = None,
    output: Annotated[
        Path | None, Parameter(help="A report to write: one HTML file with figures.", group=OUTPUT)
    ] = None,
    overwrite: Annotated[
        bool, Parameter(help="Replace the report.", negative=(), group=OUTPUT)
    ] = False,
    json: Annotated[
        bool,
        Parameter(help="Print all numbers as JSON, and nothing else.", negative=(), group=OUTPUT),
    ] = False,
    progress: Progress = True,
) -> None:
    with as_flags(Diagnose):
        DIAGNOSE.load().run(
            [file] if other is None else [file, other],
            settings or Diagnose(),
            output=output,
            overwrite=overwrite,
            as_json=json,
            progress=progress,
            command=shlex.join(["rnnsim", *sys.argv[1:]]),
        )


@app.command(
    name="explore", help=EXPLORE.help, help_epilogue=_told_by_example(EXPLORE.examples)
)  # fmt: skip
def _explore(
    *,
    settings: Annotated[Explore | None, Parameter(name="*")] = None,
    output: Annotated[
        Path | None,
        Parameter(
            help="The page to write; unless given results/explore.html, which is replaced.",
            group=OUTPUT,
        ),
    ] = None,
    overwrite: Annotated[
        bool, Parameter(help="Replace the page.", negative=(), group=OUTPUT)
    ] = False,
    progress: Progress = True,
) -> None:
    with as_flags(Explore):
        EXPLORE.load().run(
            settings or Explore(),
            output=output,
            overwrite=overwrite,
            progress=progress,
            command=shlex.join(["rnnsim", *sys.argv[1:]]),
        )


@app.command(
    name="reproduce", help=REPRODUCE.help, usage="Usage: rnnsim reproduce [NAME] [OPTIONS]",
    help_epilogue=f"{EPILOGUE}\n\n{_told_by_example(REPRODUCE.examples)}",
)  # fmt: skip
def _reproduce(
    name: Annotated[str | None, Parameter(name="NAME", help="Which, or all of them.")] = None,
    /,
    *,
    settings: Annotated[Reproduce | None, Parameter(name="*")] = None,
    output: Output = None,
    overwrite: Overwrite = False,
    source: Source = None,
    look: Annotated[Look | None, Parameter(name="*")] = None,
    progress: Progress = True,
) -> None:
    from .frame.places import Place

    folder = output or Path("results/reproduce")
    place = Place(folder, usual=output is None, overwrite=overwrite)
    with worn(look or Look()):
        sentences = REPRODUCE.load().run(
            name, settings or Reproduce(), output=place, source=source, progress=progress
        )
    for sentence in sentences:
        console.say(sentence)


@app.command(name="merge", help_epilogue="")
def _merge(
    folder: Annotated[Path, Parameter(help="The --store of a command whose shards are done.")],
    /,
    *,
    output: Output = None,
    overwrite: Overwrite = False,
) -> None:
    """Put the shards of a command together: its figures and data, as if it had run in one piece."""
    from .scaling import running, stores

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
    from .scaling import stores

    for sentence in stores.told(folder):
        console.say(sentence)


@app.command(
    name="compile", help=COMPILE.help, help_epilogue=_told_by_example(COMPILE.examples)
)  # fmt: skip
def _compile(
    *, settings: Annotated[Compile | None, Parameter(name="*")] = None, progress: Progress = True
) -> None:
    with as_flags(Compile):
        sentences = COMPILE.load().run(settings or Compile(), show=progress)
    for sentence in sentences:
        console.say(sentence)


@app.command(name="help", help_epilogue="")
def _help(
    command: Annotated[str | None, Parameter(help="Which; all of them unless given.")] = None,
) -> None:
    """What a command does, and all its flags."""
    known = (*(each.name for each in ANALYSES), *OTHERS)
    if command not in (None, *known):
        from rnnsim import checks

        checks.one_of("command", command, known)
    app.help_print([] if command is None else [command])


@app.meta.default
def _with_configuration(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    config: Annotated[Path | None, Parameter(help="TOML file with values for any flag.")] = None,
) -> None:
    if config is not None:
        from .frame import configuration

        app.config = configuration.flags_from(config, app)
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
    except KeyboardInterrupt:
        print("rnnsim: interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if not isinstance(error, _refusals()):
            raise
        print(f"rnnsim: {error}", file=sys.stderr)
        sys.exit(2)


def _refusals() -> tuple[type[Exception], ...]:
    """What ends with one line; asked for when something has been raised, which may load much."""
    from rnnsim.experiments.scaling.dispatch import EngineError

    return ValueError, TypeError, OSError, MemoryError, ImportError, EngineError


if __name__ == "__main__":
    main()
