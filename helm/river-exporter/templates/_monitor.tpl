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
