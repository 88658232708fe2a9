"""PostgreSQL: connection strings, sessions, the advisory lock of the leader, the probe and the role's SQL."""
