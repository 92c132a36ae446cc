"""The command line of a sweep."""

from jobs.sweep import resume_arguments


def test_going_on_does_not_compute_again_what_was_asked_for_once():
    arguments = ["f.toml", "--rerun", "abc", "--set", "seed=1", "--rerun=def", "--out", "o"]
    assert resume_arguments(arguments) == ["f.toml", "--set", "seed=1", "--out", "o"]
