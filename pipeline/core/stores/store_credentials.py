"""Credentials of object stores from where their own tools have them, beyond what obstore knows."""

import importlib.util
import os
from typing import Any


def profile() -> dict[str, Any]:
    """Return boto3's credentials (profiles, SSO), where it is installed and none are in variables.

    obstore itself knows the variables and the roles of machines, and no files of profiles.
    """
    named = {"AWS_ACCESS_KEY_ID", "AWS_SKIP_SIGNATURE", "AWS_WEB_IDENTITY_TOKEN_FILE"}
    if named & os.environ.keys() or importlib.util.find_spec("boto3") is None:
        return {}
    import boto3
    from obstore.auth.boto3 import Boto3CredentialProvider

    session = boto3.Session()
    if session.get_credentials() is None:
        return {}
    return {"credential_provider": Boto3CredentialProvider(session)}
