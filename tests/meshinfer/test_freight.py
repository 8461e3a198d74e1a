import pytest

from meshinfer.freight import AskBlueprint, AskHeld, AskPiece, Held

F = "f" * 32


def test_questions_have_limits() -> None:
    AskHeld(F, ("n" * 512,) * 1024)
    AskPiece(F, "norm", 0, 16 << 20)
    for made in (
        lambda: AskHeld(F, ("n",) * 1025),
        lambda: AskHeld(F, ("n" * 513,)),
        lambda: AskPiece(F, "norm", 0, (16 << 20) + 1),
        lambda: AskPiece(F, "norm", -1, 1),
        lambda: AskPiece(F, "norm", 0, -1),
        lambda: AskBlueprint(F, -1),
    ):
        with pytest.raises(ValueError, match=r"at most|limit"):
            made()


@pytest.mark.parametrize("sha256s", [(), ("0" * 63,), ("0" * 64, "0" * 64)])
def test_each_tensor_that_is_held_has_its_hash(sha256s: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        Held(F, ("norm",), sha256s)
