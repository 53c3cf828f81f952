"""Run the command line as ``python -m scalefit``, and as ``scalefit``."""

import os
import sys

_INTERRUPTED = 130


def main() -> None:
    """Run the command line; an interrupt ends it at once, also one that comes while it is imported."""
    try:
        from scalefit.cli import main as run

        run()
    except KeyboardInterrupt:
        print("scalefit: interrupted", file=sys.stderr)
        _leave()
    except SystemExit as error:
        if error.code == _INTERRUPTED:
            _leave()
        raise


def _leave() -> None:
    """End here: Python would wait for threads in compiled code, and can end by the signal itself, as if unheard."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            pass
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
