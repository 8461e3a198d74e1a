"""`python -m meshinfer` does what the `meshinfer` script does."""

from meshinfer.cli import main

if __name__ == "__main__":
    main()
