"""Draws the dashboards from a live Prometheus, and the pictures of the documentation."""
