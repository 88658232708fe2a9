"""A live demonstration, and the pieces (River, PostgreSQL, faults) that tests and benchmarks share with it."""
