from meshinfer.doctor.probe_neighbours import listen_for_peers


async def test_listening_ends_and_tells_who_was_there_or_why_nobody_could_be_heard() -> None:
    sightings, reason = await listen_for_peers(0.0)
    assert (sightings is None) == bool(reason)
