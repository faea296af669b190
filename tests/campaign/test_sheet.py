"""The sample sheet: rows become scans, and every kind of mistake is told with its row, its column and its mend."""

MOST_GROWTH = 3.0
"""Room for noise; comparing every row with all others would be ten times slower."""
