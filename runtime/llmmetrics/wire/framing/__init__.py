"""A body's bytes: encodings, buffers, events. Knows no format."""
