"""WARC files served again as the web that they recorded."""
