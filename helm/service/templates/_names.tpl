{{/*
Names and labels. The release's name is the service's name, so `payload` gives the objects payload, payload-blue,
payload-green and so on. 40 characters are the limit: with `-green`, a ReplicaSet's hash and a pod's suffix that is 63,
the longest name Kubernetes takes for a label or a host.
*/}}
{{- define "service.name" -}}
{{- if gt (len .Release.Name) 40 -}}
{{- fail (printf "release name %q has %d characters; at most 40 are allowed, so that the names made from it stay within 63. Choose a shorter one." .Release.Name (len .Release.Name)) -}}
{{- end -}}
{{- .Release.Name -}}
{{- end }}

{{/* What every object of the release carries. */}}
{{- define "service.labels" -}}
app.kubernetes.io/name: {{ include "service.name" . | quote }}
app.kubernetes.io/instance: {{ include "service.name" . | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
{{- with .Values.partOf }}
app.kubernetes.io/part-of: {{ . | quote }}
{{- end }}
{{- end }}

{{/* Selects the web pods of both colours, and never the pods of a migration. Small, and never to be changed. */}}
{{- define "service.selector" -}}
app.kubernetes.io/name: {{ include "service.name" . | quote }}
app.kubernetes.io/instance: {{ include "service.name" . | quote }}
slipway.dev/role: web
{{- end }}

{{/* Metadata of an object: list of root, suffix of the name (or ""). The namespace is named, since not every tool adds it. */}}
{{- define "service.metadata" -}}
{{- $root := index . 0 -}}
name: {{ printf "%s%s" (include "service.name" $root) (index . 1) | quote }}
namespace: {{ $root.Release.Namespace | quote }}
labels:
  {{- include "service.labels" $root | nindent 2 }}
{{- end }}

{{/* The name of a version: given, or the tag, or the first digits of the digest. Takes a dict with image and version. */}}
{{- define "service.version" -}}
{{- if .version -}}
{{- .version -}}
{{- else if contains "@sha256:" .image -}}
{{- regexFind "@sha256:[0-9a-f]{12}" .image | trimPrefix "@sha256:" -}}
{{- else -}}
{{- regexFind "[^:]+$" .image | trunc 63 | trimAll "._-" -}}
{{- end -}}
{{- end }}

{{/* The ConfigMap with `env`, named by a hash of what is in it: see config.yaml. */}}
{{- define "service.configName" -}}
{{- printf "%s-env-%s" (include "service.name" .) (.Values.env | toJson | sha256sum | trunc 8) -}}
{{- end }}

{{/* Whether a colour is there: "true" if it has an image. List of root, colour. */}}
{{- define "service.colourIsThere" -}}
{{- $colour := get (index . 0).Values.colours (index . 1) -}}
{{- if $colour.image -}}true{{- end -}}
{{- end }}
