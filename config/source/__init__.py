"""Where the alert rules, their unit tests and the chart's copy come from; not part of the installed package."""
