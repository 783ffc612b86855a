"""The Prometheus families of the contract, and `/metrics`."""
