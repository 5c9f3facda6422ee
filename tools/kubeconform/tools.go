//go:build tools

// Package tools names kubeconform, which checks manifests against schemas; go.mod and go.sum pin it.
package tools

import (
	_ "github.com/yannh/kubeconform/cmd/kubeconform"
)
