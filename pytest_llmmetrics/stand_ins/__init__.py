"""Peers inside the HTTP libraries: they answer where a connection is made, so that the libraries stay as they are."""
