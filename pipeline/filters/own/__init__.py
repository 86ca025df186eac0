"""What a user brings: texts of their own, judged as those of the web are."""
