"""Pools of connections: their metrics, the metrics endpoints of River's processes, and what sessions show of them."""
