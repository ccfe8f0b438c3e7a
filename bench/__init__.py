"""Measurements. Timings of one machine are noisy: ratios inside one run, medians and counts are what to compare."""
