"""What `ibv_devices` and `ibv_devinfo` tell on macOS: which ports can do RDMA, and whether they may now."""

import re

DEVICES_COMMAND = ("ibv_devices",)
STATES_COMMAND = ("ibv_devinfo",)

_DEVICE = re.compile(r"^[ \t]*rdma_(?P<name>[A-Za-z0-9]{1,15})[ \t]+[0-9a-f]{16}[ \t]*$", re.MULTILINE)
_BLOCK = re.compile(r"^hca_id:[ \t]*rdma_(?P<name>[A-Za-z0-9]{1,15})[ \t]*$", re.MULTILINE)
_STATE = re.compile(r"^[ \t]+state:[ \t]+(?P<state>[A-Z_]{1,30}) \(\d+\)", re.MULTILINE)
_MOST = 64


def read_devices(text: str) -> tuple[str, ...]:
    """The interfaces that have an RDMA device, such as `en5`; none where RDMA is off."""
    return tuple(dict.fromkeys(found["name"] for found in _DEVICE.finditer(text)))[:_MOST]


def read_states(text: str) -> dict[str, str]:
    """The state of each interface's RDMA port, such as `PORT_ACTIVE`; of several ports, the best one."""
    heads = list(_BLOCK.finditer(text))[:_MOST]
    ends = [*(head.start() for head in heads[1:]), len(text)]
    states: dict[str, str] = {}
    for head, end in zip(heads, ends, strict=False):
        told = [found["state"] for found in _STATE.finditer(text, head.end(), end)]
        if told:
            states[head["name"]] = ACTIVE if ACTIVE in told else told[0]
    return states


ACTIVE = "PORT_ACTIVE"
