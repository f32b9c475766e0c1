{{/*
The pod of the workers: the same image with another command. It serves no requests, so it has no port `http` and no
Service; it lives if its metrics answer. Takes the root. The controller adds the file that says which colour consumes.
*/}}
{{- define "service.workerTemplate" -}}
{{- $values := .Values -}}
metadata:
  labels:
    {{- include "service.labels" . | nindent 4 }}
    slipway.dev/role: worker
spec:
  {{- include "service.podCommon" . | nindent 2 }}
  terminationGracePeriodSeconds: {{ $values.workers.terminationGracePeriodSeconds }}
  {{- if $values.migrations.enabled }}
  initContainers:
    {{- include "service.waitForMigrations" . | nindent 4 }}
  {{- end }}
  containers:
    - name: worker
      image: {{ include "service.image" . | quote }}
      imagePullPolicy: IfNotPresent
      command:
        {{- toYaml $values.workers.command | nindent 8 }}
      {{- include "service.containerCommon" (list . list) | nindent 6 }}
      ports:
        - name: metrics
          containerPort: {{ $values.ports.metrics }}
          protocol: TCP
      {{- range $probe, $failures := dict "startupProbe" 60 "readinessProbe" 3 "livenessProbe" 3 }}
      {{ $probe }}:
        httpGet:
          path: {{ $values.workers.path }}
          port: metrics
        periodSeconds: {{ $values.workers.periodSeconds }}
        timeoutSeconds: {{ $values.workers.timeoutSeconds }}
        failureThreshold: {{ $failures }}
      {{- end }}
      resources:
        {{- toYaml $values.workers.resources | nindent 8 }}
{{- end }}
