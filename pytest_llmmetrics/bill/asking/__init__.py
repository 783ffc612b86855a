"""The asked side: what the requests of a test ask for, whatever answers them. Pure."""
