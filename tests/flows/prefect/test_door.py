"""Who is let in to the server that `serve` and `build` start: a real one, on loopback."""

import base64
import http.client
import json
import os
import re
import socket
import stat
import threading
from pathlib import Path

import pytest

from webtext.flows.prefect import door, home, trust
from webtext.flows.prefect.api import Api
from webtext.flows.prefect.supervise import Server
from webtext.pipeline.core.errors import UserError

WRITE = ("POST", "/api/variables/", json.dumps({"name": "mark", "value": "1"}))
READ = ("POST", "/api/variables/filter", "{}")
FORM = {"Content-Type": "text/plain"}  # what a page may send anywhere without asking first


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Give the port and the secret of a server as `webtext serve` starts it."""
    data = tmp_path_factory.mktemp("served")
    before = os.environ.pop("PREFECT_HOME")
    try:
        ours = Server(home.settle(data), print)
        ours.start()
        try:
            ours.wait()
            yield ours.socket.getsockname()[1], data / ".prefect"
        finally:
            ours.end()
    finally:
        os.environ["PREFECT_HOME"] = before


def ask(server, request, headers=None, host=None):
    """Return the status, the headers and the body of an answer."""
    port, _ = server
    method, path, body = request
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    sent = {"Host": host or f"127.0.0.1:{port}", "Content-Type": "application/json"}
    connection.request(method, path, body, sent | (headers or {}))
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def key(server):
    secret = (server[1] / door.SECRET).read_text().strip()
    return {"Authorization": "Basic " + base64.b64encode(secret.encode()).decode()}


def marks(server):
    return json.loads(ask(server, READ, key(server))[2])


def test_the_user_s_own_processes_are_let_in(server):
    assert ask(server, READ, key(server))[0] == 200


@pytest.mark.parametrize("wrong", [{}, {"Authorization": "Basic d2VidGV4dDo="}])
def test_another_user_of_the_machine_reads_and_changes_nothing(server, wrong):
    for request in (READ, WRITE, ("GET", "/api/admin/settings", None)):
        assert ask(server, request, wrong)[0] == 401
    assert marks(server) == []


def test_what_lets_in_can_be_read_by_this_user_alone(server):
    mode = stat.S_IMODE
    assert mode((server[1] / door.SECRET).stat().st_mode) == 0o600
    assert mode(server[1].stat().st_mode) == 0o700
    ours = [entry for entry in Path("/proc").glob("[0-9]*") if entry.stat().st_uid == os.getuid()]
    secret = (server[1] / door.SECRET).read_bytes().strip()
    lines = [(entry / "cmdline").read_bytes() for entry in ours if (entry / "cmdline").exists()]
    assert any(b"webtext.flows.prefect.server" in line for line in lines)
    assert not any(secret in line for line in lines), "every user sees command lines"


@pytest.mark.parametrize("headers", [
    {"Origin": "http://evil.test"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
])  # fmt: skip
def test_a_page_of_another_site_is_turned_away_even_with_the_secret(server, headers):
    for request in (READ, WRITE):
        status, answered, _ = ask(server, request, {**key(server), **FORM, **headers})
        assert status == 403
        assert not [name for name in answered if name.lower().startswith("access-control-")]
    assert marks(server) == []


def test_a_browser_that_asks_beforehand_is_told_no(server):
    asked = {"Origin": "http://evil.test", "Access-Control-Request-Method": "POST"}
    status, answered, _ = ask(server, ("OPTIONS", "/api/variables/", None), asked)
    assert status == 403
    assert not [name for name in answered if name.lower().startswith("access-control-")]


@pytest.mark.parametrize("name", ["evil.test", "evil.test:{port}", "127.0.0.1", "127.0.0.1:1"])
def test_a_name_that_was_made_to_point_here_is_turned_away(server, name):
    host = name.format(port=server[0])
    for request in (READ, WRITE, ("GET", "/", None), ("GET", door.LOGIN, None)):
        assert ask(server, request, key(server), host)[0] == 403
    assert marks(server) == []


SOCKETS = ("events/in", "events/out", "logs/out", "task_runs/subscriptions/scheduled")


def shake_hands(server, path, headers=(), token=None):
    """Open a WebSocket, say the token; return all that comes back, up to a frame after that."""
    port = server[0]
    lines = [
        f"GET /api/{path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version: 13",
        *headers,
    ]
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        found = b""
        while b"\r\n\r\n" not in found and (block := connection.recv(4096)):
            found += block
        if token:  # only now: what comes with the handshake is lost, and the server waits 40 s
            said = json.dumps({"type": "auth", "token": token}).encode()
            # One frame of text, masked by zeros; its length in 7 bits.
            connection.sendall(bytes([0x81, 0x80 | len(said)]) + bytes(4) + said)
            found += connection.recv(4096)
    return found


@pytest.mark.parametrize("path", SOCKETS)
def test_a_websocket_asks_for_the_secret_too(server, path):
    assert b" 403 " in shake_hands(server, path).split(b"\r\n")[0]
    asked = ["Sec-WebSocket-Protocol: prefect"]
    _, _, frame = shake_hands(server, path, asked, "guess").partition(b"\r\n\r\n")
    assert frame[:1] == b"\x88", "the server closes"
    assert int.from_bytes(frame[2:4]) == 1008, "because of the policy"
    secret = (server[1] / door.SECRET).read_text().strip()
    assert b"auth_success" in shake_hands(server, path, asked, secret)


@pytest.mark.parametrize("path", SOCKETS)
def test_a_websocket_of_another_site_is_no_websocket(server, path):
    asked = ["Sec-WebSocket-Protocol: prefect", "Origin: http://evil.test"]
    assert b" 403 " in shake_hands(server, path, asked).split(b"\r\n")[0]


def test_prefect_s_own_pages_open_and_find_the_secret(server):
    status, answered, page = ask(server, ("GET", "/", None), {"Accept": "text/html"})
    assert status in (200, 302, 307)
    assert "frame-ancestors 'none'" in answered["content-security-policy"]
    assert "default-src 'self' " in answered["content-security-policy"]  # no statistics elsewhere
    assert json.loads(ask(server, ("GET", "/ui-settings", None))[2])["auth"] == "BASIC"
    status, _, page = ask(server, ("GET", door.LOGIN, None))
    stored = re.search(rb'setItem\("([^"]+)", btoa', page)
    assert status == 200
    assert stored
    import prefect

    pages = Path(prefect.__file__).parent / "server"
    for version in ("ui", "ui-v2"):
        scripts = (pages / version / "assets").glob("*.js")
        assert any(stored[1] in script.read_bytes() for script in scripts), version


def test_the_way_in_is_printed_for_a_terminal_and_named_elsewhere(server, monkeypatch):
    secret = (server[1] / door.SECRET).read_text().strip()
    api = Api(f"http://127.0.0.1:{server[0]}/api", secret)
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    assert secret not in home.pages_of(api, server[1])
    assert str(server[1] / door.SECRET) in home.pages_of(api, server[1])
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    shown = home.pages_of(api, server[1])
    assert shown.startswith(f"http://127.0.0.1:{server[0]}{door.LOGIN}#webtext%3A")


def test_the_report_is_for_who_knows_the_secret_and_runs_no_script(server):
    wanted = ("GET", door.REPORT_FILE, None)
    page = server[1].parent / "report.html"
    assert ask(server, wanted, key(server))[0] == 404
    page.write_text("<p>The report</p>")
    for wrong in ({}, {"Authorization": "Basic d2VidGV4dDo="}):
        status, _, said = ask(server, wanted, wrong)
        assert status == 401
        assert b"The report" not in said
    assert ask(server, wanted, key(server), "evil.example")[0] == 403
    assert ask(server, wanted, key(server))[2] == page.read_bytes()
    status, _, frame = ask(server, ("GET", door.REPORT, None))
    assert status == 200
    assert b'setAttribute("sandbox", "")' in frame
    page.unlink()


def test_a_secret_that_others_could_read_is_not_used_again(tmp_path):
    first = door.secret_of(tmp_path)
    assert door.secret_of(tmp_path) == first
    (tmp_path / door.SECRET).chmod(0o644)
    second = door.secret_of(tmp_path)
    assert second != first
    (tmp_path / "elsewhere").write_text("known\n")
    (tmp_path / door.SECRET).unlink()
    (tmp_path / door.SECRET).symlink_to(tmp_path / "elsewhere")
    assert door.secret_of(tmp_path) not in {first, second, "known"}
    assert (tmp_path / "elsewhere").read_text() == "known\n"


def test_two_processes_that_make_the_secret_at_once_have_the_same(tmp_path, monkeypatch):
    random, quicker = door.secrets.token_urlsafe, []

    def slow(size):
        if not quicker:
            quicker.append(None)
            quicker[:] = [door.secret_of(tmp_path)]
        return random(size)

    monkeypatch.setattr(door.secrets, "token_urlsafe", slow)
    assert door.secret_of(tmp_path) == quicker[0] == door.secret_of(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [door.SECRET]


def test_a_server_of_somebody_else_on_that_port_is_not_told_the_secret(tmp_path):
    heard = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def squat():
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                heard.append(connection.recv(4096))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
                connection.close()

        threading.Thread(target=squat, daemon=True).start()
        port = listening.getsockname()[1]
        secret = door.secret_of(tmp_path).encode()
        home.register(tmp_path / home.REGISTER, f"http://127.0.0.1:{port}/api", tmp_path)
        assert home.registered(tmp_path / home.REGISTER) is None
        listening.shutdown(socket.SHUT_RDWR)
    assert heard
    assert not any(secret in words or base64.b64encode(secret) in words for words in heard)


@pytest.mark.parametrize("line", [
    "crawl.allow_private = true",
    "crawl.allow = ['localhost:22']",
    "crawl.ports = [80, 443, 8080]",
    "crawl.respect_robots = false",
    "crawl.enforce_opt_out = false",
    "crawl.connect_to = ['*:80:127.0.0.1:22']",
    "crawl.ca_file = '/tmp/mine.pem'",
    "crawl.delay = 0.0",
    "crawl = {delay_per_ip = 0.0}",
])  # fmt: skip
def test_no_request_opens_the_crawl_s_guard(tmp_path, line):
    from webtext.flows.prefect.flow import build

    with pytest.raises(UserError, match="cannot set this; write it into the recipe"):
        build.fn("webtext", str(tmp_path), 0, None, [line])
    trust.check("webtext", str(tmp_path), ["links.min_score = 5"])


@pytest.mark.parametrize(
    "line",
    ["rules.mine.file = '{}'", "rules.mine = {{enabled = false, file = '{}'}}",
     "rules = {{mine = {{file = '{}'}}}}", "rules.mine.module = 'own'"],
)  # fmt: skip
def test_no_request_has_a_file_of_rules_run(tmp_path, monkeypatch, line):
    from webtext.flows.prefect.flow import build

    evil, done = tmp_path / "own.py", tmp_path / "done"
    evil.write_text(f"open({str(done)!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    line = line.format(evil)
    with pytest.raises(UserError, match="cannot name files of rules"):
        build.fn("webtext", str(tmp_path), 0, None, [line])
    monkeypatch.setenv(trust.OVERRIDES, json.dumps([f"rules.mine.file = {str(tmp_path)!r}"]))
    with pytest.raises(UserError, match="cannot name files of rules"):
        trust.check("webtext", str(tmp_path), [line])
    assert not done.exists()


def test_no_request_names_another_recipe_or_directory_than_is_served(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    served = {"recipe": "webtext", "data": "/data", "directory": str(tmp_path), "overrides": []}
    for name, value in trust.served_alone(served).items():
        monkeypatch.setenv(name, value)
    trust.check("webtext", "/data", [], str(tmp_path))
    for recipe, data, directory, wrong in (
        ("/tmp/mine.toml", "/data", str(tmp_path), "recipe /tmp/mine.toml"),
        ("webtext", "/home", str(tmp_path), "data /home"),
        ("webtext", "/data", "/", "directory /"),
        ("webtext", "/data", None, "directory None"),
    ):
        with pytest.raises(UserError, match=f"{wrong}: not the one that is served"):
            trust.check(recipe, data, [], directory)
        assert Path.cwd() == tmp_path
    from webtext.flows.prefect.flow import FLOWS

    for flow in FLOWS.values():
        with pytest.raises(UserError, match="directory /: not the one that is served"):
            flow.fn("webtext", "/data", directory="/")


def test_a_recipe_s_own_files_are_those_beside_it_wherever_a_worker_was_started(
    tmp_path, monkeypatch
):
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    (elsewhere / "own.py").write_text(f"open({str(tmp_path / 'done')!r}, 'w')")
    (here / "own.py").write_text(
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Long:\n"
        "    at_most: float | None = 9.0\n    def __call__(self, doc):\n        return 0.0\n"
    )
    recipe = here / "recipe.toml"
    recipe.write_text("[rules.mine]\nfile = 'own.py'\n")
    monkeypatch.chdir(elsewhere)
    trust.check(str(recipe), str(tmp_path), [], str(here))
    assert not (tmp_path / "done").exists()
    with pytest.raises(UserError, match="nowhere: No such file"):
        trust.check(str(recipe), str(tmp_path), [], str(tmp_path / "nowhere"))
