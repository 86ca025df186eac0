"""The unique documents in even shards, with statistics and a dataset card."""
