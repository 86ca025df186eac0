"""Serve WARC files again as the web that they recorded."""
