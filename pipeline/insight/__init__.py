"""Inspect a corpus: report, trace, audit, judge, overlap, losses."""
