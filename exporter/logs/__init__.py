"""Logging: one line per event, secrets masked, repetitions limited."""
