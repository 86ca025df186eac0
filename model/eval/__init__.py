"""Zero-shot evaluation: GPT-2's Table 3, and the multiple-choice sets of today."""
