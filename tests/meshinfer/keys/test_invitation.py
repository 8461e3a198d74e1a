import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.errors import ConfigError
from meshinfer.keys.invitation import Invitation
from meshinfer.keys.mesh_key import MeshKey

KEY = MeshKey(bytes(range(32)))
INVITATION = Invitation("home", KEY, ("192.168.1.4:52414", "[fe80::1]:52414"))


def test_what_is_pasted_is_what_was_shown() -> None:
    assert Invitation.from_text(INVITATION.to_text()) == INVITATION


def test_a_terminal_may_break_the_line() -> None:
    text = INVITATION.to_text()
    assert Invitation.from_text(f"  {text[:40]}\n {text[40:]}\r\n") == INVITATION


@given(place=st.integers(0, 200), letter=st.sampled_from("aZ0-_"))
def test_a_mistyped_line_is_refused_and_nothing_of_it_is_repeated(place: int, letter: str) -> None:
    text = INVITATION.to_text()
    place %= len(text)
    wrong = text[:place] + letter + text[place + 1 :]
    if wrong == text:
        return
    if place == len(text) - 1:
        # The last letter of base64 may hold bits that mean nothing.
        return
    with pytest.raises(ConfigError) as refused:
        Invitation.from_text(wrong)
    assert text[12:40] not in str(refused.value)


@given(st.text(max_size=300))
def test_whatever_is_pasted_instead_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="invit"):
        Invitation.from_text(text)


def test_an_invitation_of_another_form_says_so() -> None:
    with pytest.raises(ConfigError, match="form 2, this release reads form 1"):
        Invitation.from_text(INVITATION.to_text().replace("meshinfer1_", "meshinfer2_"))


def test_an_invitation_does_not_show_its_key() -> None:
    assert repr(KEY.secret) not in repr(INVITATION)
