//go:build !river016

package main

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivermigrate"
)

// setSchema tells River where its tables are; this version knows schemas by itself.
func setSchema(config *river.Config, schema string) { config.Schema = schema }

func migrateConfig(schema string) *rivermigrate.Config { return &rivermigrate.Config{Schema: schema} }

// setSearchPath sets nothing: PgBouncer refuses the parameter, and River needs it no more.
func setSearchPath(*pgxpool.Config, string) {}
