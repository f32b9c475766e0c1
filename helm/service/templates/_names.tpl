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

{{/*
What stands in the PodTemplate where the image belongs; the controller puts the Rollout's there. The same for every
version: a PodTemplate that changed with the image would be a second wish beside the Rollout's.
*/}}
{{- define "service.image" -}}
slipway.dev/image-of-the-rollout@sha256:{{ repeat 64 "0" }}
{{- end }}

{{/* The ConfigMap with `env`. */}}
{{- define "service.configName" -}}
{{- printf "%s-env" (include "service.name" .) -}}
{{- end }}
