"""Run the command line as ``python -m scalefit``."""

from scalefit.cli import main

if __name__ == "__main__":
    main()
