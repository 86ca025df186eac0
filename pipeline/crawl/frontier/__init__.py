"""Which URLs are to be fetched, when, and with which outcome."""
