//go:build tools

// Package tools names Consul, of which the tests start agents of their own; go.mod and go.sum pin it.
package tools

import (
	_ "github.com/hashicorp/consul"
)
