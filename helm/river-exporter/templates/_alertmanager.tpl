{{/* A route of alertmanager.yaml in the words of an AlertmanagerConfig, without the routes below it. */}}
{{- define "river-exporter.route" -}}
receiver: {{ .receiver }}
{{- range $theirs, $ours := dict "group_wait" "groupWait" "group_interval" "groupInterval" "repeat_interval" "repeatInterval" }}
{{- with get $ $theirs }}
{{ $ours }}: {{ . }}
{{- end }}
{{- end }}
{{- with .group_by }}
groupBy: {{ toJson . }}
{{- end }}
{{- with .matchers }}
matchers:
  {{- include "river-exporter.matchers" . | trim | nindent 2 }}
{{- end }}
{{- end }}

{{/* Matchers as `name =~ "value"`, in the words of an AlertmanagerConfig. */}}
{{- define "river-exporter.matchers" -}}
{{- range . }}
- name: {{ regexFind "^\\w+" . }}
  matchType: {{ regexFind "=~|!~|!=|=" . | quote }}
  value: {{ regexFind "\"(.*)\"$" . }}
{{- end }}
{{- end }}
