"""The figures of the paper for its four sizes, shown beside what is measured here.

Source: Radford et al. (2019), Language Models are Unsupervised Multitask Learners, table 3; and for
Winograd section 3.4, which gives a number for the largest alone.
"""

SIZES = ("117M", "345M", "762M", "1542M")  # as the paper called them

Numbers = tuple[float | None, ...]

TABLE_3: dict[tuple[str, str], Numbers] = {
    ("lambada", "ppl"): (35.13, 15.60, 10.87, 8.63),
    ("lambada", "acc"): (45.99, 55.48, 60.12, 63.24),
    ("cbt_cn", "acc"): (87.65, 92.35, 93.45, 93.30),
    ("cbt_ne", "acc"): (83.4, 87.1, 88.0, 89.05),
    ("wikitext2", "ppl"): (29.41, 22.76, 19.93, 18.34),
    ("ptb", "ppl"): (65.85, 47.33, 40.31, 35.76),
    ("enwik8", "bits"): (1.16, 1.01, 0.97, 0.93),
    ("text8", "bits"): (1.17, 1.06, 1.02, 0.98),
    ("wikitext103", "ppl"): (37.50, 26.37, 22.05, 17.48),
    ("1bw", "ppl"): (75.20, 55.72, 44.575, 42.16),
    ("winograd", "acc"): (None, None, None, 70.70),
}
