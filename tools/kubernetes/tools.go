//go:build tools

// Package tools names what the manifests in k8s/ are rendered with and tried against; go.mod and go.sum pin them.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
