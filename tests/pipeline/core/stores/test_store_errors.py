"""What users read when a store refuses; the messages of obstore are from the servers themselves."""

import pytest

from webtext.pipeline.core.stores.object_store import ObjectStore
from webtext.pipeline.core.stores.store_addresses import parse
from webtext.pipeline.core.stores.store_errors import StoreError, failed

ANSWER = "Server returned non-2xx status code: "
OAUTH = "Error performing token request: Error performing POST https://oauth2.googleapis.com/token"
TOKEN = "Error performing token request: Error performing GET http://169.254.169.254/"


@pytest.mark.parametrize(
    ("address", "said", "told"),
    [
        ("az://box/data", f"{TOKEN}metadata/identity {ANSWER}403 Forbidden: denied",
         "no credentials found, and this machine has no role"),
        ("gs://box/data", f"{TOKEN}computeMetadata/v1 in 2 s - HTTP error: error sending request",
         "no credentials found, and this machine has no role"),
        ("gs://box/data", f"{OAUTH} {ANSWER}400 Bad Request: invalid_grant",
         "refuses these credentials"),
        ("az://b/data", f"{ANSWER}400 Bad Request: <Error>\n <Code>OutOfRangeInput</Code></Error>",
         "the store allows no such name (400 OutOfRangeInput)"),
        ("az://box/data", f"{ANSWER}404 Not Found: <Error>\n <Code>ContainerNotFound</Code>",
         "there is no container az://box"),
        ("az://box/data", f"{ANSWER}403 Forbidden: <Error>\n <Code>AuthenticationFailed</Code>",
         "refuses these credentials (403 AuthenticationFailed)"),
        ("az://box/data", "GET http://127.0.0.1:1/a in 8 µs - HTTP error: builder error",
         "without TLS (http://) must be allowed"),
        ("az://box/data", "GET https://none.blob.core.windows.net/ - HTTP error: error sending",
         "look at the network, and at the name of the account"),
    ],
)  # fmt: skip
def test_each_refusal_says_what_to_do_in_one_line(address, said, told):
    message = str(failed(parse(address), said))
    assert told in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("variables", "address", "told"),
    [
        ({}, "az://box/data", "AZURE_STORAGE_ACCOUNT_NAME, which is needed"),
        ({"ACCOUNT_NAME": "me", "ACCOUNT_KEY": "!hunter2!"}, "az://box/data", "in base64"),
    ],
)
def test_what_the_environment_lacks_is_named_and_no_key_is_shown(
    monkeypatch, variables, address, told
):
    for name in ("ACCOUNT_NAME", "ACCOUNT_KEY", "USE_EMULATOR"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(f"AZURE_STORAGE_{name}", value)
    with pytest.raises(StoreError) as caught:
        ObjectStore(parse(address)).folders()
    assert told in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_key_file_that_is_not_there_is_named_by_its_variable(monkeypatch):
    monkeypatch.delenv("GOOGLE_SERVICE_ACCOUNT_KEY", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/no/such/file.json")
    with pytest.raises(StoreError, match="look at the key file that GOOGLE_APPLICATION_CRED"):
        ObjectStore(parse("gs://box/data")).folders()
