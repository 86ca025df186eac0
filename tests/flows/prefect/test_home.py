"""Which server is joined, and which is not."""

import json
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from webtext.flows.prefect import home
from webtext.flows.prefect.api import Api, ApiError
from webtext.flows.prefect.door import SECRET, proof
from webtext.flows.prefect.supervise import Server, listening
from webtext.pipeline.core.errors import UserError


@pytest.fixture
def answers(monkeypatch, tmp_path):
    """Give the address of something that answers as a healthy server does."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            challenge = self.path.partition("?")[2]
            self.wfile.write(proof("user:a secret", challenge).encode())

        def log_message(self, *_words):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()
        thread.join()


def test_the_server_of_the_data_directory_is_joined_before_the_users(answers, tmp_path):
    assert home.running(tmp_path) is None
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / SECRET).write_text("user:a secret\n")
    home.register(home.users_own(), answers, tmp_path / "other")
    assert home.running(tmp_path).url == answers
    (tmp_path / SECRET).write_text("user:another secret\n")
    home.register(tmp_path / home.REGISTER, answers, tmp_path)
    assert home.registered(tmp_path / home.REGISTER) is None, "it cannot prove that it knows that"
    (tmp_path / SECRET).write_text("user:a secret\n")
    found = home.registered(tmp_path / home.REGISTER)
    assert found.auth == "user:a secret"
    assert "a secret" not in repr(found)
    home.unregister(tmp_path / home.REGISTER)
    assert not (tmp_path / home.REGISTER).exists()


def test_a_server_whose_keeper_is_gone_is_not_joined(answers, tmp_path):
    path = tmp_path / home.REGISTER
    (tmp_path / SECRET).write_text("user:a secret\n")
    home.register(path, answers, tmp_path)
    told = json.loads(path.read_text())
    told["holder"]["started"] = 1  # the number of the process is another's now
    path.write_text(json.dumps(told))
    assert home.running(tmp_path) is None


def test_a_schedule_is_not_kept_on_a_server_that_ends_with_a_build(answers, tmp_path):
    (tmp_path / SECRET).write_text("user:a secret\n")
    home.register(tmp_path / home.REGISTER, answers, tmp_path, lone=True)
    assert home.running(tmp_path).url == answers
    with pytest.raises(UserError, match="a build is at work there, with a Prefect server"):
        home.running(tmp_path, to_stay=True)


@pytest.mark.parametrize("said", [
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort",
    b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
])  # fmt: skip
def test_what_is_no_prefect_server_is_none_that_answers(said):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            for _ in range(2):
                with listener.accept()[0] as asked:
                    asked.recv(4096)
                    asked.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        api = Api(f"http://127.0.0.1:{listener.getsockname()[1]}/api")
        assert not api.healthy()
        with pytest.raises(ApiError, match=api.url):
            api.ask("GET", "/health")
        thread.join()


def test_a_server_that_cannot_be_started_is_told_and_not_waited_for(tmp_path):
    (tmp_path / "server.log").mkdir()
    server = Server(tmp_path, print)
    server.start()
    with pytest.raises(UserError, match=r"cannot be started: .*server\.log"):
        server.wait()
    server.end()


@pytest.mark.parametrize("said", [b"[]", b"{", b'{"holder": 1}', b"{}"])
def test_a_damaged_entry_of_a_server_is_none(tmp_path, said):
    path = tmp_path / home.REGISTER
    path.write_bytes(said)
    home.unregister(path)
    assert not home.ends_with_a_build(path)
    assert home.registered(path) is None
    assert path.read_bytes() == said


def test_a_second_server_on_a_database_gives_up(tmp_path, monkeypatch):
    import fcntl

    from webtext.flows.prefect import server

    monkeypatch.setattr(server, "PATIENCE", 0.2)
    first = server.alone(tmp_path)
    with pytest.raises(SystemExit) as ended:
        server.alone(tmp_path)
    assert ended.value.code == server.TAKEN
    fcntl.flock(first, fcntl.LOCK_UN)
    os.close(first)
    os.close(server.alone(tmp_path))


def test_a_port_that_is_taken_is_named(tmp_path):
    with listening(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} is taken by another program"):
            Server(tmp_path, print, port)


@pytest.mark.parametrize("place", ["127.0.0.1:9", "127.0.0.1"])
def test_an_error_of_a_server_tells_no_password_of_its_address(place):
    with pytest.raises(ApiError, match=r"^http://127\.0\.0\.1") as told:
        Api(f"http://me:a-secret@{place}/api").ask("GET", "/health", timeout=2.0)
    assert "a-secret" not in str(told.value)
