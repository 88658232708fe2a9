"""Grafana dashboards as code: one module per dashboard on one house style, generating the `*.json` beside them.

`python -m dashboards.generate` writes the JSON; `python -m tests.preview.preview` draws it from a live Prometheus.
Needs the development dependencies; the exporter itself imports nothing of this.
"""
