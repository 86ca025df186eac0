"""The directories of a build: which are the newest, whether they are complete, what is kept."""
