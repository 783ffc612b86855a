"""What a user writes down: the settings, the windows of their budgets, and prices."""
