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

{{/* The namespace of the release's objects. */}}
{{- define "river-exporter.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace }}
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
namespace: {{ .namespace | default (include "river-exporter.namespace" $context) }}
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
{{- if not (include "river-exporter.ownRegistry" $) }}{{ $.Values.global.imageRegistry | default .registry }}/{{ end }}
{{- .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* Whether image.repository begins with a registry, by the rule of image references: a dot, a port, or localhost. */}}
{{- define "river-exporter.ownRegistry" -}}
{{- if regexMatch "^([^/]*[.:][^/]*|localhost)/" .Values.image.repository }}true{{ end }}
{{- end }}

{{/* The pull secrets as a pod's `imagePullSecrets`, without the key; also for the application's pod. */}}
{{- define "river-exporter.imagePullSecrets" -}}
{{- $found := list }}
{{- range concat .Values.global.imagePullSecrets .Values.imagePullSecrets }}
{{- $found = append $found (kindIs "string" . | ternary (dict "name" .) .) }}
{{- end }}
{{- with uniq $found }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{- define "river-exporter.replicas" -}}
{{- hasKey .Values "replicas" | ternary .Values.replicas .Values.replicaCount }}
{{- end }}

{{/* Old names that are still set, a line each: what to write instead. */}}
{{- define "river-exporter.oldNames" -}}
{{- if hasKey .Values "replicas" }}
replicas is now replicaCount
{{- end }}
{{- range $section := list "podMonitor" "serviceMonitor" "prometheusRule" "alertmanagerConfig" }}
{{- if hasKey (index $.Values $section) "labels" }}
{{ $section }}.labels is now {{ $section }}.additionalLabels
{{- end }}
{{- end }}
{{- if hasKey .Values.pgbouncer "user" }}
pgbouncer.user is now pgbouncer.consoleUser
{{- end }}
{{- if include "river-exporter.ownRegistry" . }}
image.repository with a registry is now image.registry and image.repository
{{- end }}
{{- end }}

{{- define "river-exporter.telemetryPath" -}}
{{- dig "web" "telemetry_path" "/metrics" .Values.config }}
{{- end }}
