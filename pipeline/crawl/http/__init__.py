"""One polite HTTP exchange: addresses, sockets, messages, codings."""
