"""Data directories in an object store: addresses, requests, the local working copy, the lock."""
