"""What the operating system gives: the time, processes and what a fork does to them."""
