{{/* The groups of files/alerts.yaml with what `prometheusRule` changes: thresholds, links, single alerts. */}}
{{- define "river-exporter.rules" -}}
{{- $values := .Values.prometheusRule }}
{{- $text := .Files.Get "files/alerts.yaml" | replace "${runbooks}" $values.runbooks | replace "${grafana}" $values.grafana }}
{{- range $alert, $defaults := .Files.Get "files/alert-thresholds.yaml" | fromYaml }}
{{- $given := dig $alert "thresholds" dict $values.alerts }}
{{- range $name, $value := merge (deepCopy $given) $defaults }}
{{- $text = replace (printf "${%s.%s}" $alert $name) (toString $value) $text }}
{{- end }}
{{- end }}
{{- $groups := list }}
{{- range $group := (fromYaml $text).groups }}
{{- $rules := list }}
{{- range $rule := $group.rules }}
{{- $change := get $values.alerts ($rule.alert | default "") | default dict }}
{{- $kept := or (not $change.severities) (has (dig "labels" "severity" "" $rule) ($change.severities | default list)) }}
{{- if and $kept (ne (get $change "enabled" | toString) "false") }}
{{- if $rule.alert }}
{{- $_ := set $rule "labels" (merge (deepCopy ($change.labels | default dict)) (deepCopy $values.alertLabels) $rule.labels) }}
{{- $links := $values.grafana | ne "" | ternary $rule.annotations (omit $rule.annotations "dashboard_url") }}
{{- $_ := set $rule "annotations" (merge (deepCopy ($change.annotations | default dict)) $links) }}
{{- with $change.for }}{{- $_ := set $rule "for" . }}{{- end }}
{{- with $change.keepFiringFor }}{{- $_ := set $rule "keep_firing_for" . }}{{- end }}
{{- end }}
{{- $rules = append $rules $rule }}
{{- end }}
{{- end }}
{{- with $rules }}
{{- $groups = append $groups (set $group "rules" .) }}
{{- end }}
{{- end }}
{{- toYaml (dict "groups" $groups) }}
{{- end }}
