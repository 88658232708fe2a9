"""Real servers, River workers and faults, which tests, benchmarks and the live demonstration share."""
