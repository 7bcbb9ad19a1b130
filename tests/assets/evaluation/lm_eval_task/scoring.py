"""Code of a task, which is part of the hash of the task."""
