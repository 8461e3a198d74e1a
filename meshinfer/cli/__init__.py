"""The command line: `meshinfer join`, `demo`, `chat`, `topology`, `models`."""


def main() -> None:
    """Run the command that the arguments name; what the `meshinfer` script and `python -m meshinfer` call."""
    # Here, not at the top: importing meshinfer.cli costs nothing.
    from .app import app

    app()
