"""Lists of numbers on the command line: `128,512,4096`."""


class WrongSizes(ValueError):
    """A text is no list of numbers; its own text says what is."""


def parse_sizes(text: str, most: int) -> tuple[int, ...]:
    """Read whole numbers from 1 to `most`, with commas between them, in their order and none twice.

    Raises:
        WrongSizes: it holds something else.
    """
    sizes: list[int] = []
    for word in text.split(","):
        digits = word.strip()
        if not (digits.isascii() and digits.isdigit()) or not 1 <= int(digits) <= most:
            raise WrongSizes(f"{text!r}: give numbers from 1 to {most}, with commas between them")
        if int(digits) in sizes:
            raise WrongSizes(f"{text!r} holds {int(digits)} twice")
        sizes.append(int(digits))
    return tuple(sizes)
