"""The same work by others' tools, each in an environment of its own."""
