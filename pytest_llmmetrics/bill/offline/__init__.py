"""Work on report files: compare, merge, reprice."""
