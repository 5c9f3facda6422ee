//go:build tools

// Package tools names the programs that the tests use and that Debian does not have; go.mod and go.sum pin them.
package tools

import (
	_ "github.com/bufbuild/buf/cmd/buf"
	_ "github.com/fullstorydev/grpcurl/cmd/grpcurl"
)
