"""The user's configuration: settings, windows of budgets, and prices."""
