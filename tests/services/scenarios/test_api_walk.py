"""A sweep through the API: validate, plan, submit, find it again, read its log, stop it."""

from tests.services.conftest import SWEEP

BODY = {"toml": SWEEP}


def test_a_sweep_from_validation_to_stopping(api, cluster):
    validated = api.post("/api/v1/sweeps/validate", json=BODY).json()
    assert [cell["status"] for cell in validated["cells"]] == ["finished", "finished"]
    assert not cluster.requests
    plan = api.post("/api/v1/plans", json={**BODY, "devices": ["cpu"]}).json()
    assert [row["fits"] for row in plan["rows"]] == [True, True]
    answer = api.post("/api/v1/jobs", json=BODY)
    job = answer.json()
    assert (answer.status_code, job["status"], job["submission_id"]) == (201, "RUNNING", validated["submission_id"])
    assert answer.headers["location"] == f"/api/v1/jobs/{job['submission_id']}"
    assert api.post("/api/v1/jobs", json=BODY).status_code == 200
    assert api.get("/api/v1/jobs").json()["total"] == 1
    address = f"/api/v1/jobs/{job['submission_id']}"
    assert api.get(f"{address}/logs").text == f"log of {job['submission_id']}\n"
    assert api.post(f"{address}/stop").json()["status"] == "STOPPED"
    assert api.get(f"{address}/logs", params={"follow": True}).text == f"log of {job['submission_id']}\n"
    assert api.get(address).json()["status"] == "STOPPED"
