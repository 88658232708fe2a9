"""The live demonstration: a real River and PostgreSQL, the exporter, and faults to provoke by a key."""
