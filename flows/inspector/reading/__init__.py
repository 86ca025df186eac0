"""What the pages are made from: the table of all documents, their texts, the text index."""
