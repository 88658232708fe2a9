{{/* What a PodMonitor and a ServiceMonitor have in common but the endpoint. Takes context and values. */}}
{{- define "river-exporter.monitor" -}}
{{- $release := include "river-exporter.namespace" .context }}
{{- with .values }}
{{- with .jobLabel }}
jobLabel: {{ . }}
{{- end }}
{{- with .targetLabels }}
targetLabels:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .podTargetLabels }}
podTargetLabels:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .sampleLimit }}
sampleLimit: {{ int . }}
{{- end }}
{{- if .namespaceSelector }}
namespaceSelector:
  {{- toYaml .namespaceSelector | nindent 2 }}
{{- else if and .namespace (ne .namespace $release) }}
namespaceSelector:
  matchNames: [{{ $release }}]
{{- end }}
{{- end }}
{{- end }}

{{/* Labels of an object for the Prometheus operator; `labels` is the old name. Takes values. */}}
{{- define "river-exporter.additionalLabels" -}}
{{- toYaml (merge (deepCopy .additionalLabels) (.labels | default dict)) }}
{{- end }}

{{/* An endpoint of a PodMonitor or a ServiceMonitor. Takes context and values. */}}
{{- define "river-exporter.endpoint" -}}
{{- $context := .context }}
{{- with .values -}}
port: river-exporter
path: {{ include "river-exporter.telemetryPath" $context }}
interval: {{ .interval }}
scrapeTimeout: {{ .scrapeTimeout }}
scheme: {{ .scheme }}
{{- with .tlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .basicAuth }}
basicAuth:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}
