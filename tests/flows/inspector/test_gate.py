"""Only who has the secret gets in, from this machine's own pages, and nothing leaves."""

import pytest
from starlette.testclient import TestClient

from tests.flows.inspector.conftest import PORT, SECRET
from webtext.flows.inspector.gate import Gate
from webtext.flows.inspector.showing import bound, show
from webtext.pipeline.core.errors import UserError

HERE = f"http://127.0.0.1:{PORT}"


def stranger(app, base=HERE):
    return TestClient(Gate(app, PORT, SECRET), base_url=base)


@pytest.mark.parametrize(
    "path", ["/", "/static/keys.js", "/state", "/document/x", "/?secret=wrong"]
)
def test_without_the_secret_there_is_nothing(app, path):
    answer = stranger(app).get(path)
    assert answer.status_code == 403
    assert "webtext inspect" in answer.text
    assert "set-cookie" not in answer.headers


def test_the_secret_becomes_a_cookie_and_leaves_the_address(app):
    answer = stranger(app).get(f"/?secret={SECRET}&side=kept", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/?side=kept"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_it_redirects_to_itself_only(app):
    answer = stranger(app).get(f"//evil.example/?secret={SECRET}", follow_redirects=False)
    assert answer.headers.get("location", "/").startswith("/")
    assert not answer.headers.get("location", "/").startswith("//")


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": f"evil.example:{PORT}"},
        {"host": "127.0.0.1:1"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
    ids=str,
)
def test_pages_of_other_sites_have_no_access(client, headers):
    assert client.get("/", headers=headers).status_code == 403
    assert client.get(f"/?secret={SECRET}", headers=headers).status_code == 403


def test_every_answer_has_the_policy(client, app):
    for answer in (client.get("/"), client.get("/static/keys.js"), client.get("/nothing"),
                   stranger(app).get("/")):  # fmt: skip
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert "trusted-types 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_no_file_beside_the_pages_own_is_given(client):
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py"):
        assert client.get(path).status_code == 404


def test_only_reading_is_possible(client):
    for method in ("post", "put", "delete", "patch"):
        assert getattr(client, method)("/").status_code == 405


def test_mistakes_are_told_in_a_line(tmp_path):
    with pytest.raises(UserError, match=r"no latest.json, so nothing has been built there"):
        show(tmp_path, 0, None, print)
    with bound(0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"--port {port}: cannot be used"):
            bound(port)
