"""One call's life, and the engine that wires settings, prices, budgets and metrics together."""
