"""The ground that all rooms stand on: errors, rows, shards, processes, stages."""
