{{/*
What the schema cannot say, since it looks at one value at a time. Every message names the key, the value, what is
allowed and what to do. Included once, by service.yaml, which is always rendered.
*/}}
{{- define "service.validate" -}}
{{- $values := .Values -}}
{{- with $values.rollout -}}
{{- if and .enabled (not .image) -}}
{{- fail "rollout.image is empty while rollout.enabled is true; the chart has no default image. Set the first one, as name@sha256:..." -}}
{{- end -}}
{{- if and (eq .strategy "canary") (not .steps) -}}
{{- fail "rollout.steps is empty while rollout.strategy is canary. Give at least one step, as {weight: 25}, or take blueGreen." -}}
{{- end -}}
{{- end -}}
{{- with $values.rollout.autoscaling -}}
{{- if and .enabled (lt (int .maxReplicas) (int $values.rollout.replicas)) -}}
{{- fail (printf "rollout.autoscaling.maxReplicas is %d; it must be at least rollout.replicas (%d). Raise it." (int .maxReplicas) (int $values.rollout.replicas)) -}}
{{- end -}}
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
{{- if and $values.preview.check.image (not (and $values.preview.enabled $values.ingress.enabled)) -}}
{{- fail "preview.check.image is set while there is no preview host to ask. Set preview.enabled and ingress.enabled to true, or leave the image empty." -}}
{{- end -}}
{{- if lt (int $values.lifecycle.terminationGracePeriodSeconds) (add (int $values.lifecycle.preStopSeconds) 10 | int) -}}
{{- fail (printf "lifecycle.terminationGracePeriodSeconds is %d; it must be at least lifecycle.preStopSeconds (%d) + 10, or requests in flight are cut off. Raise it." (int $values.lifecycle.terminationGracePeriodSeconds) (int $values.lifecycle.preStopSeconds)) -}}
{{- end -}}
{{- if and $values.migrations.enabled (not $values.migrations.command) -}}
{{- fail "migrations.enabled is true but migrations.command is empty. Set the command, or migrations.enabled to false." -}}
{{- end -}}
{{- if and $values.migrations.secrets (not $values.migrations.enabled) -}}
{{- fail "migrations.secrets is set while migrations.enabled is false; nothing would read them. Set migrations.enabled to true, or leave the list empty." -}}
{{- end -}}
{{- if and $values.workers.enabled (not $values.workers.command) -}}
{{- fail "workers.enabled is true but workers.command is empty. Set the command, or workers.enabled to false." -}}
{{- end -}}
{{- if and $values.workers.enabled (not $values.ports.metrics) -}}
{{- fail "workers.enabled is true but ports.metrics is 0; nothing would tell whether a worker lives. Set the port, or workers.enabled to false." -}}
{{- end -}}
{{- if eq (int $values.ports.http) (int $values.ports.metrics) -}}
{{- fail (printf "ports.http and ports.metrics are both %d; metrics would be reachable through the ingress. Choose two ports." (int $values.ports.http)) -}}
{{- end -}}
{{- range $key, $sources := dict "secrets" $values.secrets "configMaps" $values.configMaps "migrations.secrets" $values.migrations.secrets -}}
{{- $files := list -}}
{{- range $sources -}}
{{- range .items -}}
{{- if has .file $files -}}
{{- fail (printf "%s: two items want the file %q; each needs a name of its own." $key .file) -}}
{{- end -}}
{{- $files = append $files .file -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $named := list "SLIPWAY_COLOUR" "SLIPWAY_VERSION" -}}
{{- range $values.migrations.secrets -}}
{{- range .items -}}
{{- if .env -}}
{{- if has .env $named -}}
{{- fail (printf "migrations.secrets: the item with the file %q wants the variable %q, which is set already; a container has each name once. Choose another one." .file .env) -}}
{{- end -}}
{{- $named = append $named .env -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
