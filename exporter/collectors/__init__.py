"""The collectors, each a module with its SQL beside it, and what runs them: base, runner, scheduler, context."""
