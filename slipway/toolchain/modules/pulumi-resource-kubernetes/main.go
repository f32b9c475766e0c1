// Pulumi's Kubernetes provider, from the module that carries its code.
//
// The module's own main embeds two files that only its release build makes (schema-embed.json and
// terraform-mapping-embed.json). The toolchain writes them beside this file before it builds: the module's
// schema.json with `version` set, and the module's terraform-mapping.json as it is.
package main

import (
	_ "embed"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
)

// version is set by the linker; the Python package pulumi-kubernetes of the same version talks to this provider.
var version string

//go:embed schema-embed.json
var schema []byte

//go:embed terraform-mapping-embed.json
var terraformMapping []byte

func main() {
	provider.Serve("kubernetes", version, schema, terraformMapping)
}
