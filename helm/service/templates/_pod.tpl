{{/*
The pod of the service, from which the rollout controller makes those of both colours. Takes the root. It has no labels
for colour and version: the controller knows them.
*/}}
{{- define "service.podTemplate" -}}
{{- $values := .Values -}}
metadata:
  labels:
    {{- include "service.labels" . | nindent 4 }}
    slipway.dev/role: web
spec:
  {{- include "service.podCommon" . | nindent 2 }}
  terminationGracePeriodSeconds: {{ $values.lifecycle.terminationGracePeriodSeconds }}
  topologySpreadConstraints:
    # By colour and by ReplicaSet: pods of the colour that leaves must not push those of the new one together. Nodes
    # that are cordoned or lost do not count, else a drained node would hold a place that nobody may take.
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: {{ $values.scheduling.whenUnsatisfiable }}
      nodeTaintsPolicy: Honor
      labelSelector:
        matchLabels:
          {{- include "service.selector" . | nindent 10 }}
      matchLabelKeys: [slipway.dev/colour, pod-template-hash]
  {{- if $values.migrations.enabled }}
  initContainers:
    {{- include "service.waitForMigrations" . | nindent 4 }}
  {{- end }}
  containers:
    - name: service
      image: {{ include "service.image" . | quote }}
      imagePullPolicy: IfNotPresent
      {{- with $values.command }}
      command:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.args }}
      args:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- include "service.containerCommon" (list . list) | nindent 6 }}
      ports:
        - name: http
          containerPort: {{ $values.ports.http }}
          protocol: TCP
        {{- if $values.ports.metrics }}
        - name: metrics
          containerPort: {{ $values.ports.metrics }}
          protocol: TCP
        {{- end }}
      startupProbe:
        {{- include "service.probe" $values.probes.startup | nindent 8 }}
      readinessProbe:
        {{- include "service.probe" $values.probes.readiness | nindent 8 }}
      livenessProbe:
        {{- include "service.probe" $values.probes.liveness | nindent 8 }}
      {{- if $values.lifecycle.preStopSeconds }}
      lifecycle:
        preStop:
          # The kubelet's own sleep: it needs no shell in the image. SIGTERM comes after it.
          sleep:
            seconds: {{ $values.lifecycle.preStopSeconds }}
      {{- end }}
      resources:
        {{- toYaml $values.resources | nindent 8 }}
{{- end }}

{{/* What the pod is, apart from its containers. Takes the root. */}}
{{- define "service.podCommon" -}}
serviceAccountName: {{ include "service.name" . | quote }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .Values.security.user }}
  runAsGroup: {{ .Values.security.group }}
  fsGroup: {{ .Values.security.group }}
  seccompProfile:
    type: RuntimeDefault
dnsConfig:
  options:
    - name: timeout
      value: {{ .Values.scheduling.dnsTimeoutSeconds | quote }}
    - name: attempts
      value: "3"
    # Names of other namespaces have four dots. With the usual 5 each would be asked for in every search domain first,
    # and one name server that does not answer would cost that many waits.
    - name: ndots
      value: "2"
tolerations:
  - key: node.kubernetes.io/not-ready
    operator: Exists
    effect: NoExecute
    tolerationSeconds: {{ .Values.scheduling.nodeLossSeconds }}
  - key: node.kubernetes.io/unreachable
    operator: Exists
    effect: NoExecute
    tolerationSeconds: {{ .Values.scheduling.nodeLossSeconds }}
volumes:
  - name: tmp
    emptyDir:
      sizeLimit: {{ .Values.tmp.sizeLimit }}
      {{- with .Values.tmp.medium }}
      medium: {{ . }}
      {{- end }}
  {{- if .Values.secrets }}
  - name: secrets
    projected:
      # 0440 with fsGroup: root owns the files, the service's group reads them.
      defaultMode: 0440
      sources:
        {{- include "service.secretSources" .Values.secrets | trim | nindent 8 }}
  {{- end }}
  {{- if .Values.migrations.secrets }}
  # Of the pod, but mounted in the waiting init container alone.
  - name: migration-secrets
    projected:
      defaultMode: 0440
      sources:
        {{- include "service.secretSources" .Values.migrations.secrets | trim | nindent 8 }}
  {{- end }}
  {{- if .Values.configMaps }}
  - name: config
    projected:
      defaultMode: 0444
      sources:
        {{- range .Values.configMaps }}
        - configMap:
            name: {{ .configMap | quote }}
            items:
              {{- range .items }}
              - key: {{ .key | quote }}
                path: {{ .file | quote }}
              {{- end }}
        {{- end }}
  {{- end }}
{{- end }}

{{/* Secrets as sources of a projected volume. Takes a list of them. */}}
{{- define "service.secretSources" -}}
{{- range . }}
- secret:
    name: {{ .secret | quote }}
    items:
      {{- range .items }}
      - key: {{ .key | quote }}
        path: {{ .file | quote }}
      {{- end }}
{{- end }}
{{- end }}

{{/*
What every container shares: environment, mounts, no privileges. Takes a list of root and the Secrets that this
container has to itself (or an empty list); a variable of theirs stands in place of one that all have, since the API
server takes each name once.
*/}}
{{- define "service.containerCommon" -}}
{{- $root := index . 0 -}}
{{- $own := index . 1 -}}
{{- $values := $root.Values -}}
{{- $name := include "service.name" $root -}}
{{- $secretsPath := printf "/run/secrets/%s" $name -}}
{{- $ownPath := printf "/run/secrets/%s-migrations" $name -}}
{{- $configPath := printf "/run/config/%s" $name -}}
{{- $replaced := list -}}
{{- range $own -}}
{{- range .items -}}
{{- $replaced = append $replaced .env -}}
{{- end -}}
{{- end -}}
securityContext:
  allowPrivilegeEscalation: false
  privileged: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- if $values.env }}
envFrom:
  - configMapRef:
      name: {{ include "service.configName" $root | quote }}
{{- end }}
env:
  # From the labels, so that nothing in the container's own description differs between the colours.
  - name: SLIPWAY_COLOUR
    valueFrom:
      fieldRef:
        fieldPath: metadata.labels['slipway.dev/colour']
  - name: SLIPWAY_VERSION
    valueFrom:
      fieldRef:
        fieldPath: metadata.labels['app.kubernetes.io/version']
  {{- range $values.secrets }}
  {{- range .items }}
  {{- if and .env (not (has .env $replaced)) }}
  - name: {{ .env | quote }}
    value: {{ printf "%s/%s" $secretsPath .file | quote }}
  {{- end }}
  {{- end }}
  {{- end }}
  {{- range $values.configMaps }}
  {{- range .items }}
  {{- if and .env (not (has .env $replaced)) }}
  - name: {{ .env | quote }}
    value: {{ printf "%s/%s" $configPath .file | quote }}
  {{- end }}
  {{- end }}
  {{- end }}
  {{- range $own }}
  {{- range .items }}
  {{- if .env }}
  - name: {{ .env | quote }}
    value: {{ printf "%s/%s" $ownPath .file | quote }}
  {{- end }}
  {{- end }}
  {{- end }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- if $values.secrets }}
  - name: secrets
    mountPath: {{ $secretsPath }}
    readOnly: true
  {{- end }}
  {{- if $own }}
  - name: migration-secrets
    mountPath: {{ $ownPath }}
    readOnly: true
  {{- end }}
  {{- if $values.configMaps }}
  - name: config
    mountPath: {{ $configPath }}
    readOnly: true
  {{- end }}
{{- end }}

{{/* A probe over HTTP. Takes path and the three numbers. */}}
{{- define "service.probe" -}}
httpGet:
  path: {{ .path }}
  port: http
periodSeconds: {{ .periodSeconds }}
timeoutSeconds: {{ .timeoutSeconds }}
failureThreshold: {{ .failureThreshold }}
{{- end }}
