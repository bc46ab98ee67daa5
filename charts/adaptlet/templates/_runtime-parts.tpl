{{- /* Parts that the runtime of a node and that of a pod have in common. `of`: settings; `prefix`: of the names of
volumes; `caCerts`: a ConfigMap, or empty. */}}

{{- /* What it serves, and whom it follows. Called with root and source. */}}
{{- define "adaptlet.followVariables" -}}
{{- $model := .root.Values.runtime.model }}
- {name: ADAPTLET_MODEL, value: {{ .source.model | quote }}}
{{- with .source.file }}
- {name: ADAPTLET_MODEL_FILE, value: {{ . | quote }}}
{{- end }}
- {name: ADAPTLET_MODEL_NAME, value: {{ $model.name | quote }}}
{{- with $model.disk }}
- {name: ADAPTLET_MODEL_DISK, value: {{ . | quote }}}
{{- end }}
- {name: ADAPTLET_DATA_DIR, value: /var/lib/adaptlet}
{{- with .root.Values.runtime.egress.allow }}
- {name: ADAPTLET_EGRESS_ALLOW, value: {{ join "," . | quote }}}
{{- end }}
{{- with .root.Values.runtime.egress.deny }}
- {name: ADAPTLET_EGRESS_DENY, value: {{ join "," . | quote }}}
{{- end }}
{{- with .root.Values.runtime.huggingFace.endpoint }}
- {name: HF_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- with .root.Values.runtime.download }}
{{- with .bandwidth }}
{{- $rates := list }}
{{- range . }}
{{- $rates = append $rates (printf "%s%s" (empty .from | ternary "" (printf "%s-%s=" .from .to)) (kindIs "string" .bytesPerSecond | ternary .bytesPerSecond (int64 .bytesPerSecond | toString))) }}
{{- end }}
- {name: ADAPTLET_DOWNLOAD_BANDWIDTH, value: {{ join "," $rates | quote }}}
{{- end }}
- {name: ADAPTLET_DOWNLOAD_TIME_ZONE, value: {{ .timeZone | quote }}}
- {name: ADAPTLET_MAX_PARALLEL_DOWNLOADS, value: {{ .maxParallel | toString | quote }}}
- {name: ADAPTLET_DOWNLOAD_RETRIES, value: {{ .retries | toString | quote }}}
{{- with .deltaLookup }}
- {name: ADAPTLET_DELTA_LOOKUP, value: {{ . | quote }}}
{{- end }}
{{- end }}
{{- with .root.Values.runtime.registryMirrors }}
{{- $mirrors := list }}
{{- range $host, $of := . }}
{{- $mirrors = append $mirrors (printf "%s=%s" $host (join "," $of)) }}
{{- end }}
- {name: ADAPTLET_REGISTRY_MIRRORS, value: {{ join ";" $mirrors | quote }}}
{{- end }}
{{- with include "adaptlet.proxyVariables" .root | trim }}
{{- . | nindent 0 }}
{{- end }}
- {name: ADAPTLET_OPERATOR, value: {{ .root.Values.operator.external.address | default (printf "adaptlet-operator.%s.svc:9443" .root.Release.Namespace) | quote }}}
- {name: ADAPTLET_OPERATOR_CA, value: /etc/adaptlet/ca/ca.crt}
- {name: ADAPTLET_OPERATOR_TOKEN, value: /var/run/adaptlet/token}
{{- end }}

{{- define "adaptlet.budgetVariables" -}}
- {name: ADAPTLET_ADAPTER_MEMORY, value: {{ .of.adapters.memory | quote }}}
- {name: ADAPTLET_ADAPTER_DISK, value: {{ .of.adapters.disk | quote }}}
- {name: ADAPTLET_THREADS, value: {{ .of.threads | toString | quote }}}
{{- if ne .of.kvPrecision "auto" }}
- {name: ADAPTLET_KV_PRECISION, value: {{ .of.kvPrecision | quote }}}
{{- end }}
- {name: ADAPTLET_LOG_LEVEL, value: {{ .root.Values.logLevel | quote }}}
{{- end }}

{{- define "adaptlet.runtimeMounts" -}}
- {name: {{ .prefix }}data, mountPath: /var/lib/adaptlet}
{{- with .source.volume }}
- name: {{ $.prefix }}model
  mountPath: /model
  readOnly: true
  {{- with $.source.path }}
  subPath: {{ . | quote }}
  {{- end }}
{{- end }}
- {name: {{ .prefix }}ca, mountPath: /etc/adaptlet/ca, readOnly: true}
- {name: {{ .prefix }}token, mountPath: /var/run/adaptlet, readOnly: true}
- {name: {{ .prefix }}tmp, mountPath: /tmp}
{{- if .of.registrySecret }}
- {name: {{ .prefix }}registry, mountPath: /etc/adaptlet/registry, readOnly: true}
{{- end }}
{{- if .caCerts }}
{{- include "adaptlet.caCertsMount" .prefix | nindent 0 }}
{{- end }}
{{- end }}

{{- /* All but the one with its data. */}}
{{- define "adaptlet.runtimeVolumes" -}}
{{- with .source.volume }}
- name: {{ $.prefix }}model
  {{- toYaml . | nindent 2 }}
{{- end }}
# The operator writes it. A runtime starts and serves without it, and takes it when it comes.
- name: {{ .prefix }}ca
  configMap: {name: adaptlet-ca, optional: true}
- name: {{ .prefix }}token
  projected:
    sources:
      - serviceAccountToken: {audience: adaptlet, expirationSeconds: 3600, path: token}
- name: {{ .prefix }}tmp
  emptyDir: {}
{{- with .of.registrySecret }}
{{- include "adaptlet.registryVolume" (dict "prefix" $.prefix "secret" .) | nindent 0 }}
{{- end }}
{{- with .caCerts }}
{{- include "adaptlet.caCertsVolume" (dict "prefix" $.prefix "configMap" .) | nindent 0 }}
{{- end }}
{{- end }}
