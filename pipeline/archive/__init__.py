"""Write, read and replay WARC files, and make pages from other crawlers' WARC files."""
