"""From token shards to the batches of a step."""
