{{/*
Migrations without hooks. Helm's hooks would be the usual way, but tools that render a chart without installing it
(Pulumi among them) drop hooks or do not order by them. So:

  - Before each new version the rollout controller runs `check` and, if something is pending, `expand` as Jobs of its
    own, and says in the Rollout how they went.
  - Each pod looks for itself before it starts: its first init container repeats `check` until that says that
    everything is applied. A pod that starts a year later on another node does the same, which no order of creation
    could promise. Only for the very first version, before which there is nothing to roll out from, does it find
    something pending; then it runs `expand`. Several may: the command must be safe to run twice at once.

What only migrations may know (`migrations.secrets`) is mounted in that init container and nowhere else in the pod; the
controller's Jobs get the environment and the mounts of the same container.
*/}}

{{/* The waiting init container. Takes the root. */}}
{{- define "service.waitForMigrations" -}}
- name: wait-for-migrations
  image: {{ include "service.image" . | quote }}
  imagePullPolicy: IfNotPresent
  # A shell as process 1 ignores SIGTERM unless told otherwise; 4 means unsafe, and waiting would not mend that.
  command:
    - /bin/sh
    - -c
    - |
      trap 'exit 143' TERM
      until "$@" check --json; do
        code=$?
        if [ "$code" -eq 3 ]; then
          if "$@" expand --json; then continue; else code=$?; fi
        fi
        if [ "$code" -eq 4 ]; then exit 4; fi
        echo "migrations are not applied yet (exit code $code), asking again in 2 s" >&2
        sleep 2
      done
    - wait-for-migrations
    {{- toYaml .Values.migrations.command | nindent 4 }}
  {{- include "service.containerCommon" (list . .Values.migrations.secrets) | nindent 2 }}
  resources:
    {{- toYaml .Values.migrations.resources | nindent 4 }}
{{- end }}
