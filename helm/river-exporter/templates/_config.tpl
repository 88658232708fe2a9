{{/* The configuration file: `config`, and what the addresses and the web configuration add to it. */}}
{{- define "river-exporter.config" -}}
{{- $config := deepCopy .Values.config }}
{{- range $section := list "database" "river" "pgbouncer" }}
{{- $own := get $config $section | default dict }}
{{- if regexMatch "://[^/@]*:[^/@]+@|password *=" (get $own "url" | default "") }}
{{- fail (printf "config.%s.url: it holds a password, which would stand in a ConfigMap; put the URL into a Secret and name that in %s.urlSecret.name" $section $section) }}
{{- end }}
{{- $address := include "river-exporter.address" (dict "section" $section "values" (index $.Values $section)) | fromYaml }}
{{- if and (or $own.url $own.url_file) (or $address.url $address.url_file) }}
{{- fail (printf "config.%s and %s: both give an address; keep one" $section $section) }}
{{- end }}
{{- with merge $address $own }}
{{- $_ := set $config $section . }}
{{- end }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* The configuration of the test Job. As a sidecar the exporter reads River's metrics over the pod's own loopback, where the
Job has no River: such addresses are left out of its copy, or doctor would warn of them. */}}
{{- define "river-exporter.doctorConfig" -}}
{{- $config := include "river-exporter.config" . | fromYaml }}
{{- with get ($config.river | default dict) "metrics_urls" }}
{{- $elsewhere := list }}
{{- range . }}
{{- if not (regexMatch "^https?://([^/@]*@)?(localhost|127(\\.[0-9]+){3}|\\[::1\\])(:|/|$)" .) }}
{{- $elsewhere = append $elsewhere . }}
{{- end }}
{{- end }}
{{- $_ := set $config.river "metrics_urls" $elsewhere }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* One address as a section of the configuration. Takes section (its name) and values. */}}
{{- define "river-exporter.address" -}}
{{- $section := .section }}
{{- with .values }}
{{- $given := compact (list .urlSecret.name .urlFile .host) }}
{{- if gt (len $given) 1 }}
{{- fail (printf "%s: urlSecret.name, urlFile and host exclude each other; keep one" $section) }}
{{- end }}
{{- if and .passwordSecret.name .passwordFile }}
{{- fail (printf "%s: passwordSecret.name and passwordFile exclude each other; keep one" $section) }}
{{- end }}
{{- if .urlSecret.name }}
url_file: /etc/river-exporter/{{ $section }}/url
{{- else if .urlFile }}
url_file: {{ .urlFile }}
{{- else if .host }}
{{- $parameters := list }}
{{- range $name, $value := .parameters }}
{{- $parameters = append $parameters (printf "%s=%s" $name (include "river-exporter.escape" (toString $value))) }}
{{- end }}
{{- $user := .user | default .consoleUser }}
url: {{ printf "postgresql://%s@%s:%v/%s" (include "river-exporter.escape" $user) .host .port (include "river-exporter.escape" .name) }}
{{- with $parameters }}?{{ join "&" . }}{{ end }}
{{- end }}
{{- if .passwordSecret.name }}
password_file: /etc/river-exporter/{{ $section }}/password
{{- else if .passwordFile }}
password_file: {{ .passwordFile }}
{{- end }}
{{- end }}
{{- end }}

{{- define "river-exporter.escape" -}}
{{- . | urlquery | replace "+" "%20" }}
{{- end }}
