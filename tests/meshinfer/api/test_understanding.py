from meshinfer.api.understanding import sampling_of
from meshinfer.messages import Sampling


def test_the_first_choice_is_sampled_as_if_it_were_alone() -> None:
    assert sampling_of(Sampling(1.0, seed=7), 0) == Sampling(1.0, seed=7)


def test_every_other_choice_has_a_seed_of_its_own() -> None:
    seeds = [sampling_of(Sampling(1.0, seed=seed), choice).seed for seed in (7, -8) for choice in range(4)]
    assert len(set(seeds)) == 8
    # Pinned: peers of all releases draw the same.
    assert seeds[1] == 1969939630367436066
