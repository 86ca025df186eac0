"""Which page a URL means, which site it is on, and lists of both."""
