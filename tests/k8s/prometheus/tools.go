// Package tools names the program that is built of this module: a Prometheus that finds its targets in Kubernetes, which
// Debian's does not.
package tools

import _ "github.com/prometheus/prometheus/cmd/prometheus"
