"""What commands say: to a reader who may have gone."""

import os
import sys


def say(text: str = "") -> None:
    """Print a line; where nobody reads any more (as after ``| head``), go on in silence."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        hush()


def hush() -> None:
    """Send nowhere all that is printed from here on."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
