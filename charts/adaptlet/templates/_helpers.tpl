{{- define "adaptlet.selector" -}}
app.kubernetes.io/name: adaptlet
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "adaptlet.commonLabels" -}}
app.kubernetes.io/name: adaptlet
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "adaptlet.labels" -}}
{{ include "adaptlet.commonLabels" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Labels of pods: without the chart's version, which alone is no reason to replace them. */}}
{{- define "adaptlet.podLabels" -}}
{{ include "adaptlet.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{- with .extra }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "adaptlet.podAnnotations" -}}
{{- $all := dict }}
{{- if .root.Values.metrics.annotations }}
{{- $all = dict "prometheus.io/scrape" "true" "prometheus.io/port" (toString .port) "prometheus.io/path" "/metrics" }}
{{- end }}
{{- with merge (deepCopy .extra) $all -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "adaptlet.image" -}}
{{- $image := .Values.image -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}{{ with $image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- define "adaptlet.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ int64 .Values.runAsUser }}
runAsGroup: {{ int64 .Values.runAsUser }}
fsGroup: {{ int64 .Values.runAsUser }}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "adaptlet.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
readOnlyRootFilesystem: true
{{- end }}

{{/* /livez says no only where a restart helps: waiting for the API server or for weights is not that. */}}
{{- define "adaptlet.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: {{ .port }}}
  periodSeconds: 1
  failureThreshold: {{ int64 .startSeconds }}
  timeoutSeconds: 5
livenessProbe:
  httpGet: {path: /livez, port: {{ .port }}}
  periodSeconds: 10
  failureThreshold: 3
  timeoutSeconds: 5
readinessProbe:
  httpGet: {path: /readyz, port: {{ .port }}}
  periodSeconds: 1
  failureThreshold: 2
  timeoutSeconds: 5
{{- end }}

{{/* Where pods run: the same values for the operator and the runtime. */}}
{{- define "adaptlet.placement" -}}
{{- $set := dict }}
{{- range $key := list "priorityClassName" "runtimeClassName" "nodeSelector" "tolerations" "affinity" }}
{{- with get $ $key }}
{{- $_ := set $set $key . }}
{{- end }}
{{- end }}
{{- if $set }}
{{- toYaml $set }}
{{- end }}
{{- end }}

{{/* A docker config.json from a Secret, as the setting registry-config wants it. */}}
{{- define "adaptlet.registryVolume" -}}
- name: {{ .prefix }}registry
  secret:
    secretName: {{ .secret }}
    items: [{key: .dockerconfigjson, path: config.json}]
{{- end }}

{{/* In upper case: gRPC would take the connection to the operator through those in lower case. */}}
{{- define "adaptlet.proxyVariables" -}}
{{- $proxy := .Values.proxy }}
{{- if or $proxy.https $proxy.http }}
{{- with $proxy.https }}
- {name: HTTPS_PROXY, value: {{ . | quote }}}
{{- end }}
{{- with $proxy.http }}
- {name: HTTP_PROXY, value: {{ . | quote }}}
{{- end }}
- {name: NO_PROXY, value: {{ join "," $proxy.exempt | quote }}}
{{- end }}
{{- end }}

{{/* Who may read metrics. */}}
{{- define "adaptlet.metricsVariables" -}}
- {name: ADAPTLET_METRICS_ACCESS, value: {{ .Values.metrics.access | quote }}}
{{- if .Values.metrics.token.secret }}
- {name: ADAPTLET_METRICS_TOKEN_FILE, value: /etc/adaptlet/metrics/token}
{{- end }}
{{- end }}
{{- define "adaptlet.metricsMount" -}}
- {name: metrics-token, mountPath: /etc/adaptlet/metrics, readOnly: true}
{{- end }}
{{- define "adaptlet.metricsVolume" -}}
- name: metrics-token
  secret:
    secretName: {{ .Values.metrics.token.secret }}
    items: [{key: {{ .Values.metrics.token.key }}, path: token}]
{{- end }}

{{/* Authorities besides the public ones: node adds the file to its own when it starts. */}}
{{- define "adaptlet.caCertsVariable" -}}
- {name: NODE_EXTRA_CA_CERTS, value: /etc/adaptlet/extra-ca/ca.crt}
{{- end }}
{{- define "adaptlet.caCertsMount" -}}
- {name: {{ . }}extra-ca, mountPath: /etc/adaptlet/extra-ca, readOnly: true}
{{- end }}
{{- define "adaptlet.caCertsVolume" -}}
- name: {{ .prefix }}extra-ca
  configMap: {name: {{ .configMap }}, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
