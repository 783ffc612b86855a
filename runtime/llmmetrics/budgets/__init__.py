"""What may be spent: limits, their enforcement, and the ledgers that keep the amounts."""
