//go:build tools

// Package peer pins the version of the exporter that the cost is compared with.
package peer

import _ "github.com/prometheus-community/postgres_exporter/cmd/postgres_exporter"
