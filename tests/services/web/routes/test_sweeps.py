"""The page of a sweep: its table and its figures."""

import re

import pytest

from loretta_core.store.record_files import write_record
from tests.loretta_core.report.figures.tried import manifest_with


def test_the_table_is_sorted_and_filtered_by_its_address(api):
    page = api.get("/sweeps/small?sort=trainable_params").text
    assert 'aria-sort="ascending"' in page
    assert "sort=trainable_params&amp;descending=1" in page
    only = api.get("/sweeps/small?method=lora").text
    assert ">loretta_adp</td>" not in only
    assert ">lora</td>" in only
    assert api.get("/sweeps/small?sort=nonsense").status_code == 422


@pytest.mark.integration
def test_figures_are_images_of_their_own(api):
    page = api.get("/sweeps/small").text
    for address in re.findall(r'<img src="([^"]+)"', page):
        answer = api.get(address.replace("&amp;", "&"))
        assert answer.status_code in (200, 404)
        if answer.status_code == 200:
            assert answer.headers["content-type"] == "image/svg+xml"
            assert "sandbox" in answer.headers["content-security-policy"]
            assert "<script" not in answer.text


@pytest.mark.integration
def test_the_trials_of_a_tuned_sweep_are_drawn(api, results):
    manifest, records = manifest_with([(0.7, 0.9, 0.8, 0.5), (0.6, 0.7, 0.8, 0.9)])
    directory = results / "sweeps" / "tuned"
    directory.mkdir()
    (directory / "sweep.json").write_text(manifest.model_dump_json())
    for cell_id, record in records.items():
        write_record(record, results / "cells" / cell_id)
    addresses = [address for address in re.findall(r'<img src="([^"]+)"', api.get("/sweeps/tuned").text) if "learning_rates" in address or "budget" in address]
    assert len(addresses) == 2
    for address in addresses:
        assert "lora r=2 · adam" in api.get(address.replace("&amp;", "&")).text
    assert "learning_rates" not in api.get("/sweeps/small").text
