//go:build river016

package main

import (
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivermigrate"
)

// setSchema has nothing to tell: River 0.16 finds its tables by the search path of the connection.
func setSchema(*river.Config, string) {}

func migrateConfig(string) *rivermigrate.Config { return &rivermigrate.Config{} }

// setSearchPath makes each connection of the pool look for River's tables in the schema.
func setSearchPath(config *pgxpool.Config, schema string) {
	if schema != "" {
		config.ConnConfig.RuntimeParams["search_path"] = pgx.Identifier{schema}.Sanitize()
	}
}
