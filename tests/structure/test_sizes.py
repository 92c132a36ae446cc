"""Folders, files and functions stay small; `python -m tests.structure.sizes` prints their sizes."""

from statistics import median

from tests.structure.sizes import LONG_FUNCTION, MEDIAN_FUNCTION, MOST_FILES, MOST_LINES, file_lengths, files_per_folder, function_lengths, percentile
from tests.structure.source import PACKAGES


def test_folders_hold_few_files():
    full = {folder: count for folder, count in files_per_folder(*PACKAGES).items() if count > MOST_FILES}
    assert not full, f"more than {MOST_FILES} modules in a folder; move those that belong together into a folder of their own: {full}"


def test_files_are_short():
    long = {str(path): lines for path, lines in file_lengths(*PACKAGES, "tests", ".docs").items() if lines > MOST_LINES}
    assert not long, f"more than {MOST_LINES} lines in a file; give its second idea a file of its own: {long}"


def test_functions_are_short():
    lengths = function_lengths(*PACKAGES)
    middle, long = median(lengths.values()), percentile([*lengths.values()], 0.95)
    longest = sorted(lengths, key=lengths.__getitem__)[-10:]
    assert middle <= MEDIAN_FUNCTION, f"the median function has {middle} lines, more than {MEDIAN_FUNCTION}"
    assert long <= LONG_FUNCTION, f"the 95th percentile of functions has {long} lines, more than {LONG_FUNCTION}; split the longest: {longest}"
