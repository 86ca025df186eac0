"""The permissions of a crawl: robots.txt, opt-outs, and the pages' own rules for robots."""
