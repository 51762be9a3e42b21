"""``python -m ganbench`` and the console script."""

from ganbench.cli import main

if __name__ == "__main__":
    main()
