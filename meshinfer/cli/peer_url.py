"""Which running peer a command talks to."""

from typing import Annotated
from urllib.parse import urlsplit

import typer

from .greeting import USUAL_API_PORT

USUAL_URL = f"http://127.0.0.1:{USUAL_API_PORT}"


def base_url(text: str) -> str:
    """Read `http://HOST:PORT`, also without `http://` or with `/v1` behind it, as people copy it.

    Raises:
        ValueError: it is none of these.
    """
    url = text if "://" in text else f"http://{text}"
    parts = urlsplit(url.rstrip("/").removesuffix("/v1"))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
        raise ValueError(f"{text!r} is no address of a peer's API")
    # Reading the port checks its range.
    return parts.geturl() if parts.port != 0 else base_url("")


def _checked(text: str) -> str:
    try:
        return base_url(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}: give one such as {USUAL_URL}") from error


UrlOption = Annotated[
    str,
    typer.Option(
        "--url",
        metavar="URL",
        callback=_checked,
        help="The API of any peer of the mesh, as `meshinfer join` prints it.",
    ),
]
