"""Running it: memory blocks, threads, the driver that replays plans, and realize."""
