{{/*
What the schema cannot say, since it looks at one value at a time. Every message names the key, the value, what is
allowed and what to do. Included once, by service.yaml, which is always rendered.
*/}}
{{- define "service.validate" -}}
{{- $values := .Values -}}
{{- include "service.validateWeights" (list "weights" $values.weights) -}}
{{- include "service.validateWeights" (list "preview.weights" $values.preview.weights) -}}
{{- range $colour, $value := $values.colours -}}
{{- include "service.validateImage" (list (printf "colours.%s.image" $colour) $value.image) -}}
{{- end -}}
{{- include "service.validateImage" (list "podTemplate.image" $values.podTemplate.image) -}}
{{- if $values.deployments.enabled -}}
{{- if not (or $values.colours.blue.image $values.colours.green.image) -}}
{{- fail "colours.blue.image and colours.green.image are both empty; the chart has no default image. Set at least one, as name@sha256:... or name:tag." -}}
{{- end -}}
{{- range $colour, $weight := $values.weights -}}
{{- $value := get $values.colours $colour -}}
{{- if and (gt (int $weight) 0) (or (not $value.image) (eq (int $value.replicas) 0)) -}}
{{- fail (printf "weights.%s is %d but that colour has image %q and %d replicas; its requests would be answered 503. Give it an image and at least one replica, or weight 0." $colour (int $weight) $value.image (int $value.replicas)) -}}
{{- end -}}
{{- end -}}
{{- else if not $values.podTemplate.image -}}
{{- fail "podTemplate.image is empty while deployments.enabled is false; the PodTemplate needs an image. Set it, as name@sha256:... or name:tag." -}}
{{- end -}}
{{- if and $values.ingress.enabled (not $values.ingress.host) -}}
{{- fail "ingress.host is empty while ingress.enabled is true. Set the name that the service answers to, or ingress.enabled to false." -}}
{{- end -}}
{{- if and $values.ingress.enabled $values.preview.enabled (not $values.preview.host) -}}
{{- fail "preview.host is empty while preview.enabled is true. Set the name of the preview, or preview.enabled to false." -}}
{{- end -}}
{{- if and $values.ingress.enabled $values.preview.enabled (eq $values.preview.host $values.ingress.host) -}}
{{- fail (printf "preview.host and ingress.host are both %q; requests for the preview would reach live users. Give the preview a name of its own." $values.preview.host) -}}
{{- end -}}
{{- if lt (int $values.lifecycle.terminationGracePeriodSeconds) (add (int $values.lifecycle.preStopSeconds) 10 | int) -}}
{{- fail (printf "lifecycle.terminationGracePeriodSeconds is %d; it must be at least lifecycle.preStopSeconds (%d) + 10, or requests in flight are cut off. Raise it." (int $values.lifecycle.terminationGracePeriodSeconds) (int $values.lifecycle.preStopSeconds)) -}}
{{- end -}}
{{- if and $values.migrations.enabled (not (and $values.migrations.expand $values.migrations.check)) -}}
{{- fail "migrations.enabled is true but migrations.expand or migrations.check is empty. Set both commands, or migrations.enabled to false." -}}
{{- end -}}
{{- if eq (int $values.ports.http) (int $values.ports.metrics) -}}
{{- fail (printf "ports.http and ports.metrics are both %d; metrics would be reachable through the ingress. Choose two ports." (int $values.ports.http)) -}}
{{- end -}}
{{- $files := list -}}
{{- range $values.secrets -}}
{{- range .items -}}
{{- if has .file $files -}}
{{- fail (printf "secrets: two items want the file %q; each needs a name of its own." .file) -}}
{{- end -}}
{{- $files = append $files .file -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* List of the key, the weights. */}}
{{- define "service.validateWeights" -}}
{{- $weights := index . 1 -}}
{{- $sum := add (int $weights.blue) (int $weights.green) -}}
{{- if ne (int $sum) 100 -}}
{{- fail (printf "%s: blue %d and green %d sum to %d; they must sum to 100. Change one of them." (index . 0) (int $weights.blue) (int $weights.green) (int $sum)) -}}
{{- end -}}
{{- end }}

{{/* List of the key, the image. The schema has checked its form; RE2 has no way to say "not latest" there. */}}
{{- define "service.validateImage" -}}
{{- if regexMatch ":latest(@|$)" (index . 1) -}}
{{- fail (printf "%s is %q; the tag latest names a different image every day. Give a digest (name@sha256:...) or a tag that stays." (index . 0) (index . 1)) -}}
{{- end -}}
{{- end }}
