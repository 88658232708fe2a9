"""Measurements that take too long for every pull request; each has a command of its own."""
