"""Every vocabulary there is, and which one a series belongs to: a new library is a module here and a line below."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.collectors.pools.vocabularies import (
    active_record,
    cmackenzie1,
    database_sql,
    hikaricp,
    ibm,
    opentelemetry,
    otelpgx,
    pg_pool,
    sqlx,
)
from exporter.collectors.pools.vocabulary import Vocabulary

VOCABULARIES: tuple[Vocabulary, ...] = (
    ibm.VOCABULARY,
    otelpgx.VOCABULARY,
    cmackenzie1.VOCABULARY,
    database_sql.VOCABULARY,
    opentelemetry.STABLE,
    opentelemetry.OLD,
    hikaricp.VOCABULARY,
    pg_pool.VOCABULARY,
    active_record.VOCABULARY,
    sqlx.VOCABULARY,
)

BY_SERIES: Mapping[str, Vocabulary] = {
    name: vocabulary for vocabulary in VOCABULARIES for name in (*vocabulary.series, *vocabulary.states)
}
"""The vocabulary of each series' name; no two share one."""
