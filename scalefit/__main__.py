"""Run the command line as ``python -m scalefit``, and as ``scalefit``."""

import sys


def main() -> None:
    """Run the command line; an interrupt while it is imported ends it as one later on does."""
    try:
        from scalefit.cli import main as run
    except KeyboardInterrupt:
        print("scalefit: interrupted", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
