"""One polite exchange: addresses, sockets, messages, codings."""
