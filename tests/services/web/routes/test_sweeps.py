"""The page of a sweep: its table and its figures."""

import re

import pytest


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
