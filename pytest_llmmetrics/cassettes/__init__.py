"""Cassettes: recorded exchanges, found, matched, replayed, recorded without secrets, compared with what is live."""
