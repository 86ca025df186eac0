"""What a store's refusal means to the user, in one line.

A store's own messages are not shown, because some of them repeat what was signed and by which key.
"""

import re

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.stores.store_addresses import Address

# What the servers call a request whose name of a bucket or key is not allowed, by their references.
_NAMES = {"InvalidBucketName", "InvalidResourceName", "InvalidUri", "OutOfRangeInput"}
# Where obstore asks for a machine's role: Azure's and Google's documents give these.
_ROLES = re.compile(r"169\.254\.169\.254|metadata\.google\.internal|metadata server")
_NEEDED = {
    "s3": "the variables of the store and its credentials",
    "gs": "the key file that GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT names",
    "az": "AZURE_STORAGE_ACCOUNT_NAME, which is needed, and AZURE_STORAGE_ACCOUNT_KEY, in base64",
}


class StoreError(UserError):
    """The store refuses or cannot be reached; says which, and what to do."""


def status(said: str) -> int | None:
    """Return the HTTP status in an obstore message, None if there was no answer."""
    found = re.search(
        r"status code: (\d{3})|HTTP status (?:\w+ )*\((\d{3})|\b(404) Not Found", said
    )
    return int(next(filter(None, found.groups()))) if found else None


def of_the_bucket(said: str) -> bool:
    """Whether not an object is missing, but the bucket or container of it."""
    return bool(re.search(r"NoSuchBucket|ContainerNotFound|bucket does not exist", said))


def not_set_up(address: Address) -> StoreError:
    """Return what to tell the user if obstore refuses what the environment says, unasked."""
    return StoreError(
        f"{address}: cannot be set up; look at {_NEEDED[address.scheme]} in the environment, see "
        "docs/stores.md"
    )


def failed(address: Address, said: str) -> StoreError:
    """Return what to tell the user of an obstore message that no repetition helped against."""
    number = status(said)
    bucket = f"{address.scheme}://{address.bucket}"
    kind = "container" if address.scheme == "az" else "bucket"
    found = re.search(r"<Code>(\w{1,64})</Code>", said)
    code = found[1] if found else ""
    why = f"{number or 'no answer'} {code}".strip()
    if "token request" in said and _ROLES.search(said):
        return StoreError(
            f"{address}: no credentials found, and this machine has no role ({why}); set them as "
            "docs/stores.md says"
        )
    if number == 404:
        return StoreError(f"{address}: there is no {kind} {bucket} ({why}); make it first")
    if number == 400 and code in _NAMES:
        return StoreError(f"{address}: the store allows no such name ({why}); choose another")
    if number in {400, 401, 403}:
        return StoreError(
            f"{address}: the store refuses these credentials ({why}); set those that may read and "
            "write there, see docs/stores.md"
        )
    if number is None and "builder error" in said:
        return StoreError(
            f"{address}: the address of the store in the environment is not one that may be asked; "
            "one without TLS (http://) must be allowed, see docs/stores.md"
        )
    if number is None and re.search(r"(?i)credential|metadata|token", said):
        return StoreError(f"{address}: no credentials found; set them as docs/stores.md says")
    account = " look at the network, and at the name of the account;" if not number else ""
    return StoreError(
        f"{address}: the store fails or cannot be reached ({why}, asked several times);{account} "
        "what is finished is kept: run the same command again"
    )
