"""The foundation of all rooms: errors, rows, shards, processes, stages."""
