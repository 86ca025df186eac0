"""What is in a corpus and why: report, trace, audit, judge, overlap, losses."""
