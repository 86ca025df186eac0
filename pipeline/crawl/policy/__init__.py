"""What we may do: robots.txt, opt-outs, and what pages ask of robots."""
