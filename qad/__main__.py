"""``python -m qad``."""

from qad.cli import main

if __name__ == "__main__":
    main()
