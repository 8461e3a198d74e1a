import pytest

from meshinfer.cli.peer_url import WrongUrl, base_url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:52415", "http://127.0.0.1:52415"),
        ("http://127.0.0.1:52415/", "http://127.0.0.1:52415"),
        ("http://127.0.0.1:52415/v1", "http://127.0.0.1:52415"),
        ("127.0.0.1:52415", "http://127.0.0.1:52415"),
        ("mac-1.local:52415/v1/", "http://mac-1.local:52415"),
        ("[::1]:52415", "http://[::1]:52415"),
        ("https://mesh.example", "https://mesh.example"),
    ],
)
def test_an_address_is_taken_as_people_copy_it(text: str, url: str) -> None:
    assert base_url(text) == url


@pytest.mark.parametrize(
    "text",
    ["", "http://", "ftp://a:1", "127.0.0.1:99999", "127.0.0.1:0", "http://a:1/v2", "http://a:1?b", ":1"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(WrongUrl, match="is no address of a peer's API: give one such as"):
        base_url(text)
