"""Attacks on the engine, the readers, the sandbox and the lake; see `__main__`."""
