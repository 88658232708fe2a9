"""What the exporter knows about River: its statements in SQL (`operations`, `shapes`) and its constants (`facts`)."""
