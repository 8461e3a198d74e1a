"""Which running peer a command talks to."""

from typing import Annotated
from urllib.parse import urlsplit

import typer

from .greeting import USUAL_API_PORT

USUAL_URL = f"http://127.0.0.1:{USUAL_API_PORT}"


class WrongUrl(ValueError):
    """A text is no address of a peer's API."""


def base_url(text: str) -> str:
    """Read `http://HOST:PORT`, also without `http://` or with `/v1` behind it, as people copy it.

    Raises:
        WrongUrl: it is none of these.
    """
    url = text if "://" in text else f"http://{text}"
    wrong = WrongUrl(f"{text!r} is no address of a peer's API: give one such as {USUAL_URL}")
    try:
        parts = urlsplit(url.rstrip("/").removesuffix("/v1"))
        port = parts.port
    except ValueError as error:
        raise wrong from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query or port == 0:
        raise wrong
    return parts.geturl()


def _checked(text: str | None) -> str | None:
    try:
        return base_url(text) if text is not None else None
    except WrongUrl as error:
        raise typer.BadParameter(str(error)) from error


def url_option(help_text: str) -> object:
    """The option `--url`, for commands that ask a peer in particular."""
    return typer.Option("--url", metavar="URL", callback=_checked, help=help_text)


UrlOption = Annotated[str, url_option("The API of any peer of the mesh, as `meshinfer join` prints it.")]
