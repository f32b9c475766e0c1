{{/*
Migrations without hooks. Helm's hooks would be the usual way, but tools that render a chart without installing it
(Pulumi among them) drop hooks or do not order by them. So:

  - migrations.yaml makes an ordinary Job for each image. Its name ends in a hash of its own pod template: a Job cannot
    be changed, so a new image or a changed setting is a new Job, and an unchanged one does not run again.
  - Nothing orders the Job before the Deployments. Both are made at once, and each pod waits for itself: its first
    init container repeats `check` until that says that everything is applied. A pod that starts a year later on
    another node does the same, which an order of creation could not promise.

This holds until the rollout controller runs migrations; the waiting stays, as the last guard.
*/}}

{{/* The waiting init container. Takes the same dict as service.podTemplate. */}}
{{- define "service.waitForMigrations" -}}
- name: wait-for-migrations
  image: {{ .image | quote }}
  imagePullPolicy: IfNotPresent
  # A shell as process 1 ignores SIGTERM unless told otherwise; 4 means unsafe, and waiting would not mend that.
  command:
    - /bin/sh
    - -c
    - |
      trap 'exit 143' TERM
      until "$@"; do
        code=$?
        if [ "$code" -eq 4 ]; then exit 4; fi
        echo "migrations are not applied yet (exit code $code), asking again in 2 s" >&2
        sleep 2
      done
    - wait-for-migrations
    {{- toYaml .root.Values.migrations.check | nindent 4 }}
  {{- include "service.containerCommon" . | nindent 2 }}
  resources:
    {{- toYaml .root.Values.migrations.resources | nindent 4 }}
{{- end }}

{{/* The pod of the Job. Takes the same dict as service.podTemplate. */}}
{{- define "service.migrationPod" -}}
metadata:
  labels:
    {{- include "service.labels" .root | nindent 4 }}
    app.kubernetes.io/version: {{ include "service.version" (dict "image" .image "version" .version) | quote }}
    slipway.dev/role: migration
spec:
  {{- include "service.podCommon" .root | nindent 2 }}
  restartPolicy: OnFailure
  containers:
    - name: migrate
      image: {{ .image | quote }}
      imagePullPolicy: IfNotPresent
      command:
        {{- toYaml .root.Values.migrations.expand | nindent 8 }}
      {{- include "service.containerCommon" . | nindent 6 }}
      resources:
        {{- toYaml .root.Values.migrations.resources | nindent 8 }}
{{- end }}
