"""`python -m upc` is `upc`, but that Python itself may have taken modules from the current folder before this runs."""

from upc.processes import forget_current_folder

if __name__ == "__main__":
    forget_current_folder()
    from upc.cli import main

    raise SystemExit(main())
