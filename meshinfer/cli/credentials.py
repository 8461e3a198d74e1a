"""What commands show to a peer's API that asks for a key."""

import os

API_KEY, ADMIN_KEY = "MESHINFER_API_KEY", "MESHINFER_ADMIN_KEY"


def key_headers() -> dict[str, str]:
    """The headers that carry this user's key, out of the environment: the admin's where there is one."""
    key = os.environ.get(ADMIN_KEY) or os.environ.get(API_KEY)
    return {"Authorization": f"Bearer {key}"} if key else {}
