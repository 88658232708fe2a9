{{/*
The exporter as a native sidecar (Kubernetes 1.29 or later), an item of `initContainers`:

  initContainers:
    {{- include "river-exporter.sidecar" . | nindent 8 }}

It starts before the application's containers and ends after them. Where another chart includes it, the values below its
dependency `river-exporter` count; with an alias, pass `(index .Subcharts "alias")` instead of the dot.
*/}}
{{- define "river-exporter.sidecar" -}}
{{- $context := include "river-exporter.own" . | eq "true" | ternary . (index (.Subcharts | default dict) "river-exporter") -}}
{{- if semverCompare "<1.29.0-0" $context.Capabilities.KubeVersion.Version }}
{{- fail "river-exporter.sidecar: a native sidecar needs Kubernetes 1.29; include river-exporter.container in containers instead" }}
{{- end -}}
- restartPolicy: Always
  {{- include "river-exporter.body" $context | nindent 2 }}
  {{- include "river-exporter.probes" $context | nindent 2 }}
{{- end }}

{{/* The exporter as an item of `containers`, for clusters before 1.29: it starts and ends with the others. */}}
{{- define "river-exporter.container" -}}
{{- $context := include "river-exporter.own" . | eq "true" | ternary . (index (.Subcharts | default dict) "river-exporter") -}}
- {{ include "river-exporter.body" $context | nindent 2 | trim }}
  {{- include "river-exporter.probes" $context | nindent 2 }}
{{- end }}

{{/* Items of `volumes` that the two need. */}}
{{- define "river-exporter.volumes" -}}
{{- $context := include "river-exporter.own" . | eq "true" | ternary . (index (.Subcharts | default dict) "river-exporter") -}}
{{- /* Optional, each of them: a Secret that is not there yet must not keep River from starting. */ -}}
- name: river-exporter-config
  configMap:
    name: {{ include "river-exporter.fullname" $context }}
    optional: true
{{- range $section := list "database" "river" "pgbouncer" }}
{{- with index $context.Values $section }}
{{- if or .urlSecret.name .passwordSecret.name }}
- name: river-exporter-{{ $section }}
  projected:
    defaultMode: 0444
    sources:
      {{- with .urlSecret }}
      {{- if .name }}
      - secret:
          name: {{ .name }}
          optional: true
          items:
            - key: {{ .key }}
              path: url
      {{- end }}
      {{- end }}
      {{- with .passwordSecret }}
      {{- if .name }}
      - secret:
          name: {{ .name }}
          optional: true
          items:
            - key: {{ .key }}
              path: password
      {{- end }}
      {{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- with $context.Values.webConfig.existingSecret }}
- name: river-exporter-web
  secret:
    secretName: {{ . }}
    defaultMode: 0444
    optional: true
{{- end }}
{{- with $context.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Whether a context is this chart's own, and not that of a chart which depends on it. */}}
{{- define "river-exporter.own" -}}
{{- if not (hasKey (.Subcharts | default dict) "river-exporter") -}}
{{- if not (and (hasKey .Values "podMonitor") (hasKey .Values "webConfig")) }}
{{- fail (printf "chart %s has no dependency called river-exporter; pass (index .Subcharts \"its alias\")" .Chart.Name) }}
{{- end -}}
true
{{- end }}
{{- end }}

{{/* What sidecar, container and Deployment have in common. */}}
{{- define "river-exporter.body" -}}
name: river-exporter
image: {{ include "river-exporter.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  - --config.follow
  - --web.listen-address=:{{ .Values.port }}
  {{- with .Values.webConfig }}
  {{- if .existingSecret }}
  - --web.config.file=/etc/river-exporter/web/{{ .key }}
  {{- end }}
  {{- end }}
  {{- if eq .Values.mode "sidecar" }}
  - --shutdown.linger={{ .Values.sidecar.linger }}
  {{- end }}
  {{- with .Values.extraArgs }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
ports:
  - name: river-exporter
    containerPort: {{ .Values.port }}
    protocol: TCP
env:
  - name: RIVER_EXPORTER_CONFIG_FILE # no argument, so that `kubectl exec … doctor` finds it as well
    value: /etc/river-exporter/config/exporter.yaml
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
terminationMessagePolicy: FallbackToLogsOnError
{{ include "river-exporter.mounts" . }}
{{- end }}

{{/* Whole folders, no subPath: that is how a change of a Secret or a ConfigMap reaches a running container. */}}
{{- define "river-exporter.mounts" -}}
volumeMounts:
  - name: river-exporter-config
    mountPath: /etc/river-exporter/config
    readOnly: true
  {{- range $section := list "database" "river" "pgbouncer" }}
  {{- with index $.Values $section }}
  {{- if or .urlSecret.name .passwordSecret.name }}
  - name: river-exporter-{{ $section }}
    mountPath: /etc/river-exporter/{{ $section }}
    readOnly: true
  {{- end }}
  {{- end }}
  {{- end }}
  {{- if .Values.webConfig.existingSecret }}
  - name: river-exporter-web
    mountPath: /etc/river-exporter/web
    readOnly: true
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* Startup and liveness ask for neither a database nor credentials. There is no readiness probe, as it would be one of
the whole pod: the exporter never stops River. With TLS a start is an open port: should the certificate be what is wrong,
River starts all the same. */}}
{{- define "river-exporter.probes" -}}
startupProbe:
  {{- if .Values.sidecar.gate }}
  {{- include "river-exporter.get" (dict "context" . "path" "/-/ready") | nindent 2 }}
  {{- else if include "river-exporter.tls" . }}
  tcpSocket:
    port: river-exporter
  {{- else }}
  {{- include "river-exporter.get" (dict "context" . "path" "/-/healthy") | nindent 2 }}
  {{- end }}
  {{- $startup := .Values.startupProbe }}
  {{- if .Values.sidecar.gate }}
  {{- $startup = merge (dict "failureThreshold" (max 600 $startup.failureThreshold)) $startup }}
  {{- end }}
  {{- toYaml $startup | nindent 2 }}
livenessProbe:
  {{- include "river-exporter.get" (dict "context" . "path" "/-/healthy") | nindent 2 }}
  {{- toYaml .Values.livenessProbe | nindent 2 }}
{{- end }}

{{- define "river-exporter.tls" -}}
{{- if and .Values.webConfig.existingSecret .Values.webConfig.tls }}true{{ end }}
{{- end }}

{{- define "river-exporter.get" -}}
httpGet:
  path: {{ .path }}
  port: river-exporter
  {{- if include "river-exporter.tls" .context }}
  scheme: HTTPS
  {{- end }}
{{- end }}
