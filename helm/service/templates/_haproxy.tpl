{{/*
What HAProxy is told about the pods behind a Service. On the Service and not on the Ingress: a backend of
haproxy-ingress belongs to a Service. The weights (`blue-green-balance`, `initial-weight`) are the rollout controller's.
Takes the root.
*/}}
{{- define "service.haproxy" -}}
{{- $ingress := .Values.ingress -}}
haproxy-ingress.github.io/blue-green-mode: deploy
haproxy-ingress.github.io/balance-algorithm: {{ $ingress.balanceAlgorithm | quote }}
haproxy-ingress.github.io/slots-min-free: {{ $ingress.slotsMinFree | quote }}
haproxy-ingress.github.io/timeout-connect: {{ $ingress.timeouts.connect | quote }}
haproxy-ingress.github.io/timeout-server: {{ $ingress.timeouts.server | quote }}
haproxy-ingress.github.io/config-backend: |
  {{- with $ingress.retries }}
  {{- if .enabled }}
  retry-on {{ join " " .reasons }}
  retries {{ .count }}
  option redispatch {{ .redispatchEvery }}
  http-request disable-l7-retry if !{ method {{ join " " .safeMethods }} } !{ req.hdr({{ .keyHeader }}) -m found }
  {{- else }}
  retries 0
  no option redispatch
  {{- end }}
  {{- end }}
{{- end }}

{{/* What HAProxy is told about a host, on its Ingress. Takes the root. */}}
{{- define "service.haproxyHost" -}}
{{- with .Values.ingress -}}
haproxy-ingress.github.io/ssl-redirect: "true"
haproxy-ingress.github.io/proxy-body-size: {{ .bodySize | quote }}
haproxy-ingress.github.io/hsts: {{ .hsts.enabled | quote }}
haproxy-ingress.github.io/hsts-max-age: {{ .hsts.maxAgeSeconds | int64 | quote }}
haproxy-ingress.github.io/hsts-include-subdomains: {{ .hsts.includeSubdomains | quote }}
haproxy-ingress.github.io/hsts-preload: {{ .hsts.preload | quote }}
{{- end -}}
{{- end }}

{{/* Rules and TLS of an Ingress. Takes a list of root, host, tlsSecretName, name of the Service. */}}
{{- define "service.ingressSpec" -}}
{{- $root := index . 0 -}}
{{- $host := index . 1 -}}
ingressClassName: {{ $root.Values.ingress.className | quote }}
tls:
  - hosts: [{{ $host | quote }}]
    {{- with index . 2 }}
    secretName: {{ . | quote }}
    {{- end }}
rules:
  - host: {{ $host | quote }}
    http:
      paths:
        - path: /
          pathType: Prefix
          backend:
            service:
              name: {{ index . 3 | quote }}
              port:
                name: http
{{- end }}
