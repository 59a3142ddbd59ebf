"""`python -m upc` is `upc`."""

from upc.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
