"""WARC files written, read and replayed, and pages made of others' WARC files."""
