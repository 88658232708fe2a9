"""Metrics as values: declarations, samples, peaks, the snapshot, its exposition; without River or PostgreSQL."""
