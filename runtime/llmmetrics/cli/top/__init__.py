"""What `llmmetrics top` is made of: scrapes, the figures that they come to, and how a terminal shows them."""
