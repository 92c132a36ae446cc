"""Reading sweeps and cells through the API."""


def test_sweeps_and_cells_are_read(api):
    listed = api.get("/api/v1/sweeps").json()
    assert [(each["name"], each["finished"], each["total"]) for each in listed["sweeps"]] == [("small", 2, 2)]
    page = api.get("/api/v1/sweeps/small/cells", params={"limit": 1}).json()
    assert (page["total"], page["next_offset"], len(page["cells"])) == (2, 1, 1)
    rest = api.get("/api/v1/sweeps/small/cells", params={"limit": 1, "offset": 1}).json()
    assert rest["next_offset"] is None
    only = api.get("/api/v1/sweeps/small/cells", params={"method": "lora", "sort": "score", "descending": True}).json()
    assert [cell["labels"]["method"] for cell in only["cells"]] == ["lora"]
    cell = api.get(f"/api/v1/cells/{only['cells'][0]['cell_id'][:8]}").json()
    assert cell["record"]["score"]["value"] == 0.9
    assert cell["reproduce"].startswith("loretta run --set")
    assert api.get("/api/v1/sweeps/small/comparison").json()["pareto"].keys() == {"trainable_params", "train_seconds", "peak_memory_bytes", "forwards"}
    assert r"\toprule" in api.get("/api/v1/sweeps/small/table", params={"format": "latex"}).text
