"""The directories of a build: which are the newest, whether they are whole, and what is kept."""
