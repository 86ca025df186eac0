"""MinHash signatures of documents, and their files."""
