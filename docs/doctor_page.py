"""docs/doctor.md, made of the checks' declarations; `python -m docs.generate` writes it."""

from __future__ import annotations

from exporter.doctor.context import WATCH
from exporter.doctor.run import checks

_HEAD = f"""\
# river-exporter doctor

Generated from the checks in `exporter/doctor/` by `make generate`.

```sh
river-exporter doctor                                  # with the configuration of the running exporter
kubectl exec POD -c river-exporter -- river-exporter doctor
```

It looks for {WATCH:.0f} s with the exporter's own collectors, tries River's endpoint many times, asks the database a
few questions, and reports. The first line is one sentence: the state of completions, the cause, since when, and the one
thing to do. Then come what was examined (target, time, versions), the finding that holds the remedy, and the others,
the worst first, each with its evidence, why it matters for the completer, and what to do: in words, with what it costs,
and in SQL that is ready to copy, where it is done in SQL. All of it takes 10 to 20 s, 30 s at most. Progress goes to
stderr, the report to stdout.

It needs no more rights than the exporter's role and changes nothing. It takes at most two connections, beside the three
of a running exporter; the role's `CONNECTION LIMIT` from `river-exporter setup-sql` has room for both. Where the role
has none left, doctor tries again for some seconds, and then notes what it could not examine. It contends for no
advisory lock, so a running exporter is not disturbed.

No remedy ends a session of River's, an exporter's, a replica's or the server's own (such as autovacuum to prevent
wraparound): for those there is a step in words. None advises more connections than the server has for River.

| status | meaning | exit code |
| --- | --- | --- |
| ok | all is well | 0 |
| note | worth knowing, nothing is wrong | 0 |
| not examined | it could not be judged, for want of a right or a setting, on a standby, or behind a lock | 0 |
| state `unknown` | jobs run, or may run, and no completion was seen | 1 (0 with `--fail-on problem`) |
| warning | it will hurt, or hurts a little | 1 (0 with `--fail-on problem`) |
| problem | it hurts now | 2 |
| (none) | doctor was used wrongly, or the configuration is wrong: nothing was examined | 3 |

| flag | what it does |
| --- | --- |
| `-v`, `--verbose` | show every finding that is ok; without it only their number is shown |
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


def page() -> str:
    """The page: a table for each group of checks."""
    parts = [_HEAD]
    for group, declared in checks():
        parts.append(f"\n### {group.title}\n\n")
        parts.append("| check | looks at | why |\n| --- | --- | --- |\n")
        parts += [f"| `{each.name}` | {each.looks_at} | {each.why[:1].upper()}{each.why[1:]}. |\n" for each in declared]
    return "".join(parts)
