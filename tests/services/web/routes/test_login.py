"""Signing in and out."""

from services.server.auth import add_token


def test_signing_in_keeps_the_token_where_scripts_cannot_read_it(serve_api, results):
    token = add_token(results / "tokens.json", name="ada", role="read")
    browser = serve_api()
    assert browser.get("/").headers["location"] == "/login"
    assert browser.get("/login").status_code == 200
    assert browser.post("/login", data={"token": "lor_wrong"}).status_code == 401
    signed_in = browser.post("/login", data={"token": token})
    cookie = signed_in.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "ada (read)" in browser.get("/").text
    assert browser.get("/submit").status_code == 403
    assert browser.get("/api/v1/sweeps").status_code == 200
    browser.post("/logout")
    assert browser.get("/").headers["location"] == "/login"
