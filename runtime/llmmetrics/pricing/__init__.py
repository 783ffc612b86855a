"""What usage costs: exact prices, the genai-prices catalogue, the worst case of a request."""
