{{- /* A profile: the settings of the runtime, and its own in place of them. Called with root and profile. */}}
{{- define "adaptlet.profile" -}}
{{- $settings := deepCopy .root.Values.runtime }}
{{- range $key, $value := omit .profile "name" }}
{{- $_ := set $settings $key $value }}
{{- end }}
{{- $name := .root.Values.runtime.name }}
{{- with .profile.name }}
{{- $name = printf "%s-%s" $name . }}
{{- end }}
{{- $_ := set $settings "name" $name }}
{{- toJson $settings }}
{{- end }}

{{- /* Devices that choose the execution providers: extended resources in the limits, and DeviceClasses of claims. */}}
{{- define "adaptlet.devices" -}}
{{- $devices := list }}
{{- range $name, $_ := dig "limits" dict .resources }}
{{- if contains "/" $name }}{{ $devices = append $devices $name }}{{ end }}
{{- end }}
{{- join "," (concat $devices .deviceClasses) }}
{{- end }}

{{- define "adaptlet.dataFolder" -}}
{{- $runtime := .Values.runtime }}
{{- $runtime.data.path | default (ternary "/var/lib/adaptlet" (printf "/var/lib/adaptlet-%s" $runtime.suffix) (empty $runtime.suffix)) }}
{{- end }}

{{- define "adaptlet.daemonSet" -}}
{{- $root := .root }}
{{- $runtime := include "adaptlet.profile" . | fromJson }}
{{- $namespace := $root.Release.Namespace }}
{{- $of := dict "root" $root "component" "runtime" }}
{{- $profile := .profile.name }}
{{- $data := $runtime.data }}
{{- $owned := and (eq $data.type "hostPath") $data.own }}
{{- $source := include "adaptlet.modelSource" $root | fromJson }}
{{- $shared := dict "prefix" "" "source" $source "of" $runtime "caCerts" $root.Values.extraCACerts }}
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: {{ $runtime.name }}
  namespace: {{ $namespace }}
  labels:
    {{- include "adaptlet.labels" $of | nindent 4 }}
    {{- with $profile }}
    adaptlet.io/profile: {{ . }}
    {{- end }}
spec:
  selector:
    matchLabels:
      {{- include "adaptlet.selector" $of | nindent 6 }}
      {{- with $profile }}
      adaptlet.io/profile: {{ . }}
      {{- end }}
  updateStrategy:
    type: {{ $runtime.updateStrategy.type }}
    {{- if eq $runtime.updateStrategy.type "RollingUpdate" }}
    # No surge: one process at a time owns the data of a node.
    rollingUpdate: {maxUnavailable: {{ $runtime.updateStrategy.maxUnavailable }}}
    {{- end }}
  minReadySeconds: {{ int64 $runtime.minReadySeconds }}
  template:
    metadata:
      labels:
        {{- include "adaptlet.podLabels" (dict "root" $root "component" "runtime" "extra" $runtime.podLabels) | nindent 8 }}
        {{- with $profile }}
        adaptlet.io/profile: {{ . }}
        {{- end }}
      {{- with include "adaptlet.podAnnotations" (dict "root" $root "port" 8090 "extra" $runtime.podAnnotations) }}
      {{- . | nindent 6 }}
      {{- end }}
    spec:
      serviceAccountName: {{ $root.Values.runtime.name }}
      automountServiceAccountToken: false
      # Variables of Services, such as ADAPTLET_OPERATOR_PORT, look like settings.
      enableServiceLinks: false
      securityContext:
        {{- include "adaptlet.podSecurity" $root | nindent 8 }}
        {{- with $runtime.supplementalGroups }}
        supplementalGroups: {{ toJson . }}
        {{- end }}
      terminationGracePeriodSeconds: {{ int64 $runtime.terminationGracePeriodSeconds }}
      {{- with $runtime.resourceClaims }}
      resourceClaims:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $root.Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with include "adaptlet.placement" $runtime }}
      {{- . | nindent 6 }}
      {{- end }}
      {{- if $owned }}
      initContainers:
        # The kubelet makes a folder of the node for root; the runtime is not root.
        - name: own-data
          image: {{ include "adaptlet.image" $root | quote }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          command: [node, -e, "require('node:fs').chownSync('/var/lib/adaptlet', {{ int64 $root.Values.runAsUser }}, {{ int64 $root.Values.runAsUser }})"]
          resources:
            requests: {cpu: 10m, memory: 64Mi}
            limits: {memory: 128Mi}
          securityContext:
            allowPrivilegeEscalation: false
            capabilities: {drop: [ALL], add: [CHOWN]}
            readOnlyRootFilesystem: true
            runAsNonRoot: false
            runAsUser: 0
          volumeMounts:
            - {name: data, mountPath: /var/lib/adaptlet}
      {{- end }}
      containers:
        - name: runtime
          image: {{ include "adaptlet.image" $root | quote }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          # What it said last is in the status of the pod when it ends with an error.
          terminationMessagePolicy: FallbackToLogsOnError
          args: [serve]
          env:
            - {name: ADAPTLET_RUNTIME_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
            - {name: NODE_NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
            - {name: ADAPTLET_RUNTIME_NAME, value: "$(NODE_NAME){{ with $runtime.suffix }}.model-{{ . }}{{ end }}"}
            - {name: ADAPTLET_RUNTIME_KIND, value: node}
            {{- include "adaptlet.followVariables" (dict "root" $root "source" $source) | nindent 12 }}
            - {name: ADAPTLET_GRPC_LISTEN, value: "0.0.0.0:9000"}
            - {name: ADAPTLET_HTTP_LISTEN, value: "0.0.0.0:8080"}
            - {name: ADAPTLET_HEALTH_LISTEN, value: "0.0.0.0:8090"}
            {{- include "adaptlet.metricsVariables" $root | nindent 12 }}
            {{- with $root.Values.peers }}
            {{- if .enabled }}
            - {name: ADAPTLET_PEERS_LISTEN, value: "0.0.0.0:9446"}
            - {name: ADAPTLET_PEERS_HOST, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
            {{- with .bandwidth }}
            - {name: ADAPTLET_PEERS_BANDWIDTH, value: {{ . | quote }}}
            {{- end }}
            {{- end }}
            {{- end }}
            {{- if ne $runtime.anonymous "auto" }}
            - {name: ADAPTLET_ANONYMOUS, value: {{ $runtime.anonymous }}}
            {{- end }}
            {{- if $runtime.tls.operator }}
            - {name: ADAPTLET_TLS, value: operator}
            {{- end }}
            {{- if $runtime.tls.secret }}
            - {name: ADAPTLET_TLS_CERT, value: /etc/adaptlet/tls/tls.crt}
            - {name: ADAPTLET_TLS_KEY, value: /etc/adaptlet/tls/tls.key}
            {{- if $runtime.tls.clientCertificates }}
            - {name: ADAPTLET_CLIENT_CA, value: /etc/adaptlet/tls/ca.crt}
            {{- end }}
            {{- end }}
            {{- if $runtime.metricsForGateways }}
            - {name: ADAPTLET_HTTP_METRICS, value: "on"}
            {{- end }}
            {{- with $runtime.gateways.addresses }}
            - {name: ADAPTLET_GATEWAY_ADDRESSES, value: {{ join "," . | quote }}}
            {{- end }}
            {{- if $runtime.gateways.objectives }}
            {{- $objectives := list }}
            {{- range $name, $priority := $runtime.gateways.objectives }}
            {{- $objectives = append $objectives (printf "%s=%d" $name (int64 $priority)) }}
            {{- end }}
            - {name: ADAPTLET_GATEWAY_OBJECTIVES, value: {{ join "," $objectives | quote }}}
            {{- end }}
            {{- with $runtime.classifiers.model }}
            - {name: ADAPTLET_CLASSIFIER_MODEL, value: {{ . | quote }}}
            {{- end }}
            {{- with $runtime.classifiers.memory }}
            - {name: ADAPTLET_CLASSIFIER_MEMORY, value: {{ . | quote }}}
            {{- end }}
            {{- with $runtime.maxConnections }}
            - {name: ADAPTLET_MAX_CONNECTIONS, value: {{ int64 . | quote }}}
            {{- end }}
            - {name: ADAPTLET_DRAIN_DELAY, value: "{{ int64 $runtime.drainSeconds }}s"}
            {{- include "adaptlet.budgetVariables" (dict "root" $root "of" $runtime) | nindent 12 }}
            {{- with $runtime.disk }}
            - {name: ADAPTLET_DISK, value: {{ . | quote }}}
            {{- end }}
            {{- with $runtime.scrubRate }}
            - {name: ADAPTLET_SCRUB_RATE, value: {{ . | quote }}}
            {{- end }}
            {{- if $runtime.labels }}
            {{- $pairs := list }}
            {{- range $key, $value := $runtime.labels }}
            {{- $pairs = append $pairs (printf "%s=%s" $key $value) }}
            {{- end }}
            - {name: ADAPTLET_LABELS, value: {{ join "," $pairs | quote }}}
            {{- end }}
            {{- with include "adaptlet.devices" $runtime }}
            - {name: ADAPTLET_DEVICE_RESOURCES, value: {{ . | quote }}}
            {{- end }}
            {{- with $runtime.executionProviders }}
            - {name: ADAPTLET_EXECUTION_PROVIDERS, value: {{ join "," . | quote }}}
            {{- end }}
            {{- if $runtime.requireProvider }}
            - {name: ADAPTLET_REQUIRE_PROVIDER, value: "true"}
            {{- end }}
            {{- if $runtime.registrySecret }}
            - {name: ADAPTLET_REGISTRY_CONFIG, value: /etc/adaptlet/registry/config.json}
            {{- end }}
            {{- if $runtime.model.registrySecret }}
            - {name: ADAPTLET_BASE_REGISTRY_CONFIG, value: /etc/adaptlet/base-registry/config.json}
            {{- end }}
            {{- if $root.Values.extraCACerts }}
            {{- include "adaptlet.caCertsVariable" . | nindent 12 }}
            {{- end }}
            {{- with $runtime.extraEnv }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          ports:
            - {name: grpc, containerPort: 9000}
            - {name: http, containerPort: 8080}
            - {name: health, containerPort: 8090}
            {{- if $root.Values.peers.enabled }}
            - {name: peers, containerPort: 9446}
            {{- end }}
          {{- include "adaptlet.probes" (dict "startSeconds" $runtime.startupSeconds "port" "health") | nindent 10 }}
          resources:
            {{- toYaml $runtime.resources | nindent 12 }}
          securityContext:
            {{- include "adaptlet.containerSecurity" $root | nindent 12 }}
          volumeMounts:
            {{- include "adaptlet.runtimeMounts" $shared | nindent 12 }}
            {{- if $runtime.tls.secret }}
            - {name: tls, mountPath: /etc/adaptlet/tls, readOnly: true}
            {{- end }}
            {{- if $runtime.model.registrySecret }}
            - {name: base-registry, mountPath: /etc/adaptlet/base-registry, readOnly: true}
            {{- end }}
            {{- if $root.Values.metrics.token.secret }}
            {{- include "adaptlet.metricsMount" . | nindent 12 }}
            {{- end }}
            {{- with $runtime.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        - name: data
          {{- if eq $data.type "hostPath" }}
          hostPath: {path: {{ include "adaptlet.dataFolder" $root | quote }}, type: DirectoryOrCreate}
          {{- else if $data.sizeLimit }}
          emptyDir: {sizeLimit: {{ $data.sizeLimit | quote }}}
          {{- else }}
          emptyDir: {}
          {{- end }}
        {{- include "adaptlet.runtimeVolumes" $shared | nindent 8 }}
        {{- if $runtime.tls.secret }}
        - name: tls
          secret: {secretName: {{ $runtime.tls.secret }}}
        {{- end }}
        {{- with $runtime.model.registrySecret }}
        {{- include "adaptlet.registryVolume" (dict "prefix" "base-" "secret" .) | nindent 8 }}
        {{- end }}
        {{- if $root.Values.metrics.token.secret }}
        {{- include "adaptlet.metricsVolume" $root | nindent 8 }}
        {{- end }}
        {{- with $runtime.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end }}
