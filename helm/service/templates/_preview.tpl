{{/* The check of the preview host, as a field of the Rollout; nothing without an image. Takes the root. */}}
{{- define "service.previewCheck" -}}
{{- $preview := .Values.preview -}}
{{- with $preview.check -}}
{{- if and $preview.enabled .image -}}
preview:
  image: {{ .image | quote }}
  configMap: {{ printf "%s-preview" (include "service.name" $) | quote }}
  timeout: {{ printf "%ds" (add (int .seconds) 60) | quote }}
  args:
    - run
    - --quiet
    - --no-usage-report
    {{- $told := dict "TARGET" .target "HOST" $preview.host "PATHS" (join "," .paths) "RATE" .rate "SECONDS" .seconds "ERROR_RATIO" .errorRatio "P95_MS" .p95Milliseconds }}
    {{- range $name, $value := $told }}
    - {{ printf "--env=PREVIEW_%s=%v" $name $value | quote }}
    {{- end }}
    - /scripts/preview.js
{{- end -}}
{{- end -}}
{{- end }}
