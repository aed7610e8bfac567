"""The command line: ``rnnsim <analysis>``, in a checkout also ``python -m analysis <analysis>``."""

import sys
from pathlib import Path
from typing import Annotated, Any

import cyclopts
from cyclopts import App, Parameter

from . import (
    demo,
    gradient_norms,
    isometry,
    lyapunov,
    nonnormal,
    phase_diagram,
    portrait,
    runs,
    spectra,
    truncation,
)
from .runs import Analysis
from .settings import Ensemble

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


@app.command(name="gradient-norms")
def _gradient_norms(
    *,
    settings: Annotated[gradient_norms.Settings | None, Parameter(name="*")] = None,
    output: Output = None,
    source: Source = None,
    progress: Progress = True,
) -> None:
    """Norms against lag, length and time; where gradients vanish and explode."""
    _run(gradient_norms.ANALYSIS, settings, output, source, progress)


@app.command(name="truncation")
def _truncation(
    *,
    settings: Annotated[truncation.Settings | None, Parameter(name="*")] = None,
    output: Output = None,
    source: Source = None,
    progress: Progress = True,
) -> None:
    """Error and cosine of truncated gradients; the window that suffices."""
    _run(truncation.ANALYSIS, settings, output, source, progress)


@app.command(name="spectra")
def _spectra(
    *,
    settings: Annotated[spectra.Settings | None, Parameter(name="*")] = None,
    output: Output = None,
    source: Source = None,
    progress: Progress = True,
) -> None:
    """Eigenvalues, singular values, normality; growth of gradients against the radius."""
    _run(spectra.ANALYSIS, settings, output, source, progress)


@app.command(name="lyapunov")
def _lyapunov(
    *,
    settings: Annotated[lyapunov.Settings | None, Parameter(name="*")] = None,
    output: Output = None,
    source: Source = None,
    progress: Progress = True,
) -> None:
    """Lyapunov spectra, the transition to chaos, convergence, finite-time exponents."""
    _run(lyapunov.ANALYSIS, settings, output, source, progress)


@app.command(name="phase-diagram")
def _phase_diagram(
    *,
    settings: Annotated[phase_diagram.Settings | None, Parameter(name="*")] = None,
    output: Output = None,
    source: Source = None,
    progress: Progress = True,
) -> None:
    """Chaos and exploding gradients over gain and the strength of input or biases."""
    _run(phase_diagram.ANALYSIS, settings, output, source, progress)


@app.command(name="isometry")
def _isometry(
    *,
    settings: Annotated[isometry.Settings | None, Parameter(name="*")] = None,
    output: Output = None,
    source: Source = None,
    progress: Progress = True,
) -> None:
    """Singular values of products of Jacobians; dynamical isometry."""
    _run(isometry.ANALYSIS, settings, output, source, progress)


@app.command(name="nonnormal")
def _nonnormal(
    *,
    settings: Annotated[nonnormal.Settings | None, Parameter(name="*")] = None,
    output: Output = None,
    source: Source = None,
    progress: Progress = True,
) -> None:
    """The same eigenvalues, more or less normal: pseudospectra, transients, gradients, windows."""
    _run(nonnormal.ANALYSIS, settings, output, source, progress)


@app.command(name="portrait")
def _portrait(
    *,
    settings: Annotated[portrait.Settings | None, Parameter(name="*")] = None,
    output: Output = None,
    source: Source = None,
    progress: Progress = True,
) -> None:
    """All that is known about one network, drawn or from a file, on one page."""
    _run(portrait.ANALYSIS, settings, output, source, progress)


@app.command(name="demo")
def _demo(
    *,
    settings: Annotated[Ensemble | None, Parameter(name="*")] = None,
    output: Output = None,
    source: Source = None,
    progress: Progress = True,
) -> None:
    """Gradient norms, truncation and spectra on real text, and what they show in words."""
    sentences = demo.run(
        settings or Ensemble(),
        output=output or Path("results"),
        source=source,
        progress=progress,
    )
    print("\n" + "\n".join(sentences))


def _run(
    analysis: Analysis,
    settings: Any,
    output: Path | None,
    source: Path | None,
    progress: bool,
) -> None:
    folder = output or Path("results") / analysis.name
    chosen = settings or analysis.settings()
    for sentence in runs.run(analysis, chosen, output=folder, source=source, progress=progress):
        print(sentence)


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
