"""How values of the requests are read where their JSON is looser than a type: texts, stops, prompts, biases.

Each reads one value and raises ValueError with what should be there instead; the field's name is put before
it by whoever reports it.
"""

import re

MAX_STOPS = 16
MAX_STOP_CHARACTERS = 1024
MAX_PROMPTS = 16
MAX_BIASES = 1024
MAX_BIAS = 100
MAX_TOKEN_ID = (1 << 31) - 1

_TOKEN_ID = re.compile(r"0|[1-9][0-9]{0,9}")


def describe(value: object) -> str:
    """A value as an error shows it: numbers and short texts themselves, of everything else the type."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() if value.bit_length() > 64:
            return "a huge number"
        case int() | float():
            return repr(value)
        case str() if len(value) <= 40:
            return repr(value)
        case str():
            return f"a string of {len(value)} characters"
        case list():
            return f"an array of {len(value)}"
        case _:
            return "an object"


def read_text(content: object) -> str:
    """A message's content: a text, or parts of type text, which are joined."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise ValueError(f"should be a string or an array of parts, not {describe(content)}")
    return "".join(_read_part(number, part) for number, part in enumerate(content))


def _read_part(number: int, part: object) -> str:
    if not isinstance(part, dict):
        raise ValueError(f"[{number}] should be an object with type and text, not {describe(part)}")
    kind, text = part.get("type"), part.get("text")
    if kind != "text":
        raise ValueError(
            f"[{number}] is of type {describe(kind)}, which is not supported by this release: send text"
        )
    if not isinstance(text, str):
        raise ValueError(f"[{number}].text should be a string, not {describe(text)}")
    return text


def read_stops(value: object) -> tuple[str, ...]:
    """Stop strings: null, one text, or an array of texts."""
    stops = [] if value is None else value if isinstance(value, list) else [value]
    if len(stops) > MAX_STOPS:
        raise ValueError(f"holds {len(stops)} strings, at most {MAX_STOPS} are taken")
    return tuple(_read_stop(stop) for stop in stops)


def _read_stop(stop: object) -> str:
    if not isinstance(stop, str):
        raise ValueError(f"should be a string or an array of strings, not {describe(stop)}")
    if not stop:
        raise ValueError("holds an empty string, which would end every answer before it begins")
    if len(stop) > MAX_STOP_CHARACTERS:
        raise ValueError(f"holds a string of {len(stop)} characters, at most {MAX_STOP_CHARACTERS} are taken")
    return stop


def read_prompts(value: object) -> tuple[str | tuple[int, ...], ...]:
    """The prompts of completions: a text, token ids, or an array of these."""
    if isinstance(value, list) and value and isinstance(value[0], (str, list)):
        if len(value) > MAX_PROMPTS:
            raise ValueError(f"holds {len(value)} prompts, at most {MAX_PROMPTS} are taken")
        return tuple(_read_prompt(part, f"[{number}] ") for number, part in enumerate(value))
    return (_read_prompt(value, ""),)


def _read_prompt(value: object, place: str) -> str | tuple[int, ...]:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, list) and value:
        return tuple(_read_token_id(part) for part in value)
    if value in ("", []):
        raise ValueError(f"{place}is empty: give at least one token")
    raise ValueError(f"{place}should be a string or an array of token ids, not {describe(value)}")


def _read_token_id(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"should hold token ids only, not {describe(value)}")
    if not 0 <= value <= MAX_TOKEN_ID:
        raise ValueError(f"holds {describe(value)}, which is no token id")
    return value


def read_biases(value: object) -> tuple[tuple[int, float], ...]:
    """Logit biases: null, or an object from token ids (as texts, as JSON wants it) to numbers."""
    if value is None:
        return ()
    if not isinstance(value, dict):
        raise ValueError(f"should be an object from token ids to biases, not {describe(value)}")
    if len(value) > MAX_BIASES:
        raise ValueError(f"holds {len(value)} biases, at most {MAX_BIASES} are taken")
    return tuple(_read_bias(token, bias) for token, bias in value.items())


def _read_bias(token: str, bias: object) -> tuple[int, float]:
    if not _TOKEN_ID.fullmatch(token) or int(token) > MAX_TOKEN_ID:
        raise ValueError(f"holds {describe(token)}, which is no token id")
    if not isinstance(bias, (int, float)) or isinstance(bias, bool):
        raise ValueError(f"of token {token} should be a number, not {describe(bias)}")
    # NaN is not in the range either.
    if not -MAX_BIAS <= bias <= MAX_BIAS:
        raise ValueError(f"of token {token} should be from -{MAX_BIAS} to {MAX_BIAS}, not {describe(bias)}")
    return int(token), float(bias)
