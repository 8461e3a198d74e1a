"""What commands show to a peer's API that asks for a key."""

import os

API_KEY, ADMIN_KEY = "MESHINFER_API_KEY", "MESHINFER_ADMIN_KEY"


def key_headers() -> dict[str, str]:
    """The headers that carry this user's key, out of the environment: the admin's where there is one."""
    key = os.environ.get(ADMIN_KEY) or os.environ.get(API_KEY)
    return {"Authorization": f"Bearer {key}"} if key else {}


def key_advice(code: object) -> str:
    """What to do about a refusal with this code; empty where no key would help."""
    match code:
        case "invalid_api_key" if os.environ.get(ADMIN_KEY):
            return f"this command sent what is in {ADMIN_KEY}: put the right key there, or unset it"
        case "invalid_api_key":
            return f"for this command, put it into {API_KEY}"
        case "admin_key_needed":
            return f"for this command, put it into {ADMIN_KEY}"
        case _:
            return ""
