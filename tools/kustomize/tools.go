//go:build tools

// Package tools names kustomize, which renders k8s/: the one that is inside of kubectl 1.32; go.mod and go.sum pin it.
package tools

import (
	_ "sigs.k8s.io/kustomize/kustomize/v5"
)
