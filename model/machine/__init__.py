"""What a machine has and how it is used: devices, processes, memory, time."""
