"""docs/doctor.md, made of the checks' declarations; `python -m docs.generate` writes it."""

from __future__ import annotations

from exporter.doctor.run import WATCH, checks

_HEAD = f"""\
# river-exporter doctor

Generated from the checks in `exporter/doctor/` by `make generate`.

```sh
river-exporter doctor                                  # with the configuration of the running exporter
kubectl exec POD -c river-exporter -- river-exporter doctor
```

It looks for {WATCH:.0f} s with the exporter's own collectors, tries River's address many times, asks the database a
few questions, and says what it found: the worst first, each finding with its evidence, why it matters for the
completer, and what to do, ready to copy. All of it takes 10 to 20 s, 30 s at most. Progress goes to stderr, the report
to stdout.

It needs no more rights than the exporter's role and changes nothing. It takes up to three connections, beside the three
of a running exporter; the role's `CONNECTION LIMIT` from `river-exporter setup-sql` has room for both. It contends for
no advisory lock, so a running exporter is not disturbed.

| status | meaning | exit code |
| --- | --- | --- |
| ok | all is well | 0 |
| note | worth knowing, nothing is wrong | 0 |
| warning | it will hurt, or hurts a little | 1 (0 with `--fail-on problem`) |
| problem | it hurts now | 2 |

| flag | what it does |
| --- | --- |
| `--output text`, `json`, `markdown` | for a terminal, for programs, for an issue |
| `--fail-on warning`, `problem` | what makes the exit code other than 0 |
| `--show-queries` | show the last statement of who blocks: it may hold data, so it is not shown by default |
| `--prometheus URL` | check also that the alerts are loaded there, and that an exporter is scraped |
| `--explain` | explain a completing statement, see below |
| `--explain.url-file FILE` | stronger credentials for that, a connection URL in a file (or `/dev/stdin`) |

## --explain

EXPLAIN (ANALYZE, BUFFERS) really runs the statement. Doctor picks up to 5 jobs that are running, updates them with a
statement of the completing one's shape (its own words, not River's) in a transaction that is rolled back, with a
`lock_timeout` of 200 ms and a `statement_timeout` of 2 s. For those milliseconds the rows are locked, and 5 dead row
versions are left behind for vacuum. It needs `UPDATE` on `river_job`, which the exporter's role does not have:

```sh
river-exporter doctor --explain --explain.url-file /run/secrets/owner-url
```

## The checks

Their names are stable: the runbooks refer to them.
"""

_TITLES = {
    "completer": "The completer", "plan": "Its plan", "pool": "Pools and connections", "network": "The network",
    "river": "River", "table": "River's table", "configuration": "The exporter", "alerts": "Prometheus",
    "connection": "Connection and rights",
}  # fmt: skip


def page() -> str:
    """The page: a table for each group of checks."""
    parts = [_HEAD]
    for group, declared in checks():
        name = group.__name__.rpartition(".")[2]
        parts.append(f"\n### {_TITLES.get(name, name.capitalize())}\n\n")
        parts.append("| check | looks at | why |\n| --- | --- | --- |\n")
        parts += [f"| `{each.name}` | {each.looks_at} | {each.why[:1].upper()}{each.why[1:]}. |\n" for each in declared]
    return "".join(parts)
