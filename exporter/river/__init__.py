"""What the exporter knows about River: a module for each of its runtimes, their statements, and River's constants."""
