{{- define "river-exporter.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "river-exporter.fullname" -}}
{{- $name := include "river-exporter.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "river-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "river-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "river-exporter.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "river-exporter.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Name, namespace, labels and annotations of an object.
Takes context, and optionally suffix (of the name), namespace, labels and annotations. */}}
{{- define "river-exporter.metadata" -}}
{{- $context := .context -}}
name: {{ include "river-exporter.fullname" $context }}{{ with .suffix }}-{{ . }}{{ end }}
namespace: {{ .namespace | default $context.Release.Namespace }}
labels:
  {{- $labels := include "river-exporter.labels" $context | fromYaml }}
  {{- toYaml (merge (deepCopy (.labels | default dict)) $labels) | nindent 2 }}
{{- with merge (deepCopy (.annotations | default dict)) $context.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "river-exporter.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "river-exporter.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- define "river-exporter.image" -}}
{{- with .Values.image -}}
{{- .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "river-exporter.telemetryPath" -}}
{{- dig "web" "telemetry_path" "/metrics" .Values.config }}
{{- end }}
