"""Directions: the same numbers for any split, the right distribution, no global state, and a slow twin in Python integers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from loretta_core.zo.noise import Direction, draw, draw_ranges, quantiles

MASK = (1 << 64) - 1


def slow_mix(x):
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def slow_word(direction, index):
    a, b = direction.keys
    return slow_mix(slow_mix((a + index * 0x9E3779B97F4A7C15) & MASK) + b & MASK)


@pytest.mark.parametrize("direction", [Direction(0, 0), Direction(7, 19_999, 3), Direction(-1, 2**31)])
def test_every_value_is_its_formula(direction):
    table = quantiles(torch.device("cpu"))
    words = [slow_word(direction, index) for index in range(3)]
    lanes = [word >> shift & 0xFFFF for word in words for shift in (0, 16, 32, 48)]
    expected = torch.stack([table[(lane + 32768) & 0xFFFF] for lane in lanes])
    assert torch.equal(draw(direction, size=12), expected)
    signs = torch.tensor([1.0 if word >> bit & 1 else -1.0 for word in words for bit in range(64)])
    assert torch.equal(draw(direction, size=192, distribution="rademacher"), signs)


@given(start=st.integers(0, 300), size=st.integers(0, 300), distribution=st.sampled_from(["gaussian", "rademacher"]))
def test_any_piece_is_the_piece_of_the_whole(start, size, distribution):
    whole = draw(Direction(1, 2), size=700, distribution=distribution)
    assert torch.equal(draw(Direction(1, 2), start=start, size=size, distribution=distribution), whole[start : start + size])


def test_pinned_values():
    """Change these only together with the format of the replay log."""
    assert torch.equal(draw(Direction(0, 0), size=4), torch.tensor([-0.730227351, -1.07551241, -0.438964754, 1.5301162]))
    assert draw(Direction(0, 0), size=8, distribution="rademacher").tolist() == [1.0, -1.0, 1.0, 1.0, -1.0, -1.0, -1.0, 1.0]


@pytest.mark.parametrize("distribution", ["gaussian", "rademacher"])
def test_moments_and_independence(distribution):
    size = 400_000
    z = draw(Direction(3, 1), size=size, distribution=distribution).double()
    fourth = 3.0 if distribution == "gaussian" else 1.0
    assert z.mean().abs() < 5 / size**0.5
    assert (z.square().mean() - 1).abs() < 5 * (2 / size) ** 0.5
    assert (z.pow(4).mean() - fourth).abs() < 5 * (96 / size) ** 0.5
    others = [Direction(3, 1, 1), Direction(3, 2), Direction(4, 1)]
    for other in others:
        assert (z @ draw(other, size=size, distribution=distribution).double()).abs() < 5 * size**0.5
    for lag in (1, 3, 4, 64):
        assert (z[lag:] @ z[:-lag]).abs() < 5 * size**0.5


def test_the_table_has_unit_variance_and_is_odd():
    table = quantiles(torch.device("cpu")).double()
    assert table.square().mean().item() == pytest.approx(1.0, abs=1e-7)
    assert torch.equal(table, -table.flip(0))


def test_threads_and_global_state_do_not_matter():
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    draws = []
    try:
        for count in (1, 2, 8):
            torch.set_num_threads(count)
            draws.append(draw(Direction(5, 6), size=100_001))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(draws[0], draws[1])
    assert torch.equal(draws[0], draws[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_keys_do_not_collide():
    keys = {Direction(seed, step, index).keys[0] for seed in range(10) for step in range(1000) for index in range(10)}
    assert len(keys) == 100_000


@pytest.mark.gpu
def test_the_gpu_draws_the_same():
    for distribution in ("gaussian", "rademacher"):
        on_cpu = draw(Direction(1, 2, 3), start=5, size=100_000, distribution=distribution)
        assert torch.equal(draw(Direction(1, 2, 3), start=5, size=100_000, distribution=distribution, device="cuda").cpu(), on_cpu)


@pytest.mark.parametrize("distribution", ["gaussian", "rademacher"])
def test_ranges_in_one_pass_are_those_drawn_one_by_one(distribution):
    direction, ranges = Direction(1, 2, 3), ((0, 5), (70, 1), (71, 130), (1000, 64))
    one_by_one = torch.cat([draw(direction, start=start, size=size, distribution=distribution) for start, size in ranges])
    assert torch.equal(draw_ranges(direction, ranges, distribution=distribution), one_by_one)
