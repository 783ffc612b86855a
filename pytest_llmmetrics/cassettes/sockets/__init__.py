"""WebSockets in cassettes: what is kept of one, how it is compared, recorded and played. vcrpy has none of it."""
