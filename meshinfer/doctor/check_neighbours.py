"""Peers that are announced on this network: of our mesh, of another, of another release."""

from meshinfer.transports.sighting import OPEN, Announcement

from .finding import Finding, bad, good, note, warning
from .observed import Observed

_MOST = 8

_INVITATION = (
    "to be in theirs: `meshinfer key show --mesh` and its name on a machine of that mesh prints a line to "
    "paste here, behind meshinfer join --invite"
)
_OPEN_MESH = "to be in theirs, which has no key: meshinfer join --open --mesh and its name"


def check_neighbours(observed: Observed) -> list[Finding]:
    """Name those who are seen but cannot take part, and why."""
    if observed.sightings is None:
        return [
            note(f"it was not listened to{': ' + observed.no_sightings if observed.no_sightings else ''}")
        ]
    seen = {each.who.peer_id: each.who for each in observed.sightings}
    own = observed.peer.name if observed.peer is not None else ""
    others = [who for who in seen.values() if who.name != own]
    ours = [who for who in others if who.mesh == observed.mesh]
    findings = [
        *_other_keys(ours, observed),
        *_other_releases(ours, observed),
        *_other_meshes(others, observed),
    ]
    fitting = [who.name for who in ours if _fits(who, observed) and _has_our_key(who, observed)]
    if fitting:
        return [good(f"seen in mesh {observed.mesh}: {_listed(fitting)}"), *findings]
    return findings or [note("no other peer is announced on this network")]


def _fits(who: Announcement, observed: Observed) -> bool:
    return who.wire_version == observed.wire_version


def _has_our_key(who: Announcement, observed: Observed) -> bool:
    own = observed.peer.key if observed.peer is not None else ""
    return own in ("", *who.keys)


def _other_keys(ours: list[Announcement], observed: Observed) -> list[Finding]:
    own = observed.peer.key if observed.peer is not None else ""
    findings = []
    for who in ours:
        if _has_our_key(who, observed):
            continue
        if OPEN in (who.key, own):
            has = f"has {who.key if own == OPEN else own}"
            text = f"{who.name} {has}, this peer runs without a key"
            if who.key == OPEN:
                text = f"{who.name} runs without a key, this peer {has}"
            findings.append(bad(text, "start all of them without --open"))
        else:
            text = f"{who.name} has another key of this mesh's name: {who.key}; here it is {own}"
            findings.append(
                bad(text, "on one of them: meshinfer join --invite … (`meshinfer key show` there)")
            )
    return findings[:_MOST]


def _other_releases(ours: list[Announcement], observed: Observed) -> list[Finding]:
    findings = []
    for who in ours:
        if not _fits(who, observed):
            findings.append(
                bad(
                    f"{who.name} runs release {who.release}, which speaks protocol {who.wire_version}; this "
                    f"is {observed.release} with {observed.wire_version}",
                    _same_release(observed),
                )
            )
        elif who.release != observed.release:
            text = f"{who.name} runs release {who.release}, this is {observed.release}"
            findings.append(warning(text, _same_release(observed)))
    return findings[:_MOST]


def _same_release(observed: Observed) -> str:
    return f"on every machine: pip install meshinfer-mlx=={observed.release}"


def _other_meshes(others: list[Announcement], observed: Observed) -> list[Finding]:
    meshes: dict[str, list[Announcement]] = {}
    for who in others:
        if who.mesh != observed.mesh:
            meshes.setdefault(who.mesh, []).append(who)
    return [
        warning(
            f"in another mesh, {mesh}: {_listed([who.name for who in there])}; this machine is in "
            f"{observed.mesh}",
            # Anybody can announce any name: none of it goes where a shell would read it.
            _OPEN_MESH if all(who.key == OPEN for who in there) else _INVITATION,
        )
        for mesh, there in list(meshes.items())[:_MOST]
    ]


def _listed(names: list[str]) -> str:
    more = len(names) - _MOST
    return ", ".join(names[:_MOST]) + (f" and {more} more" if more > 0 else "")
