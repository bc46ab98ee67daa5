{{- /* What the operator injects into pods that ask for it: a native sidecar, its volumes, and Secrets for its image. */}}
{{- define "adaptlet.sidecar" -}}
{{- $injection := .Values.injection }}
{{- $ports := $injection.ports }}
{{- $source := include "adaptlet.sidecarSource" . | fromJson }}
{{- $shared := dict "prefix" "adaptlet-" "source" $source "of" $injection "caCerts" $injection.extraCACerts }}
container:
  name: adaptlet-runtime
  image: {{ include "adaptlet.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  terminationMessagePolicy: FallbackToLogsOnError
  # A native sidecar: other containers start once the startup probe passed, and it ends after them.
  restartPolicy: Always
  args: [serve]
  env:
    - {name: ADAPTLET_RUNTIME_KIND, value: pod}
    - {name: ADAPTLET_RUNTIME_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
    - {name: ADAPTLET_RUNTIME_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    # Names in requests are those of the pod's namespace.
    - {name: ADAPTLET_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
    {{- include "adaptlet.followVariables" (dict "root" . "source" $source) | trim | nindent 4 }}
    # The containers of the pod, and nobody else.
    - {name: ADAPTLET_GRPC_LISTEN, value: "127.0.0.1:{{ int64 $ports.grpc }}"}
    - {name: ADAPTLET_HTTP_LISTEN, value: "127.0.0.1:{{ int64 $ports.http }}"}
    - {name: ADAPTLET_HEALTH_LISTEN, value: "0.0.0.0:{{ int64 $ports.health }}"}
    # Their namespaces have no Secret of the release: the containers of the pod, or everybody.
    - {name: ADAPTLET_METRICS_ACCESS, value: {{ .Values.metrics.access | quote }}}
    {{- include "adaptlet.budgetVariables" (dict "root" . "of" $injection) | trim | nindent 4 }}
    {{- if $injection.registrySecret }}
    - {name: ADAPTLET_REGISTRY_CONFIG, value: /etc/adaptlet/registry/config.json}
    {{- end }}
    {{- if $injection.extraCACerts }}
    {{- include "adaptlet.caCertsVariable" . | nindent 4 }}
    {{- end }}
    {{- with $injection.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports:
    - {name: adaptlet-grpc, containerPort: {{ int64 $ports.grpc }}}
    - {name: adaptlet-http, containerPort: {{ int64 $ports.http }}}
    - {name: adaptlet-health, containerPort: {{ int64 $ports.health }}}
  startupProbe:
    # The base model is loaded: the others may ask.
    httpGet: {path: /readyz, port: adaptlet-health}
    periodSeconds: 1
    failureThreshold: {{ int64 $injection.startupSeconds }}
    timeoutSeconds: 5
  livenessProbe:
    httpGet: {path: /livez, port: adaptlet-health}
    periodSeconds: 10
    failureThreshold: 3
    timeoutSeconds: 5
  readinessProbe:
    httpGet: {path: /readyz, port: adaptlet-health}
    periodSeconds: 5
    failureThreshold: 2
    timeoutSeconds: 5
  resources:
    {{- toYaml $injection.resources | nindent 4 }}
  securityContext:
    {{- include "adaptlet.containerSecurity" . | nindent 4 }}
    # Whatever the pod has for its own.
    runAsNonRoot: true
    runAsUser: {{ int64 .Values.runAsUser }}
    runAsGroup: {{ int64 .Values.runAsUser }}
    seccompProfile: {type: RuntimeDefault}
  volumeMounts:
    {{- include "adaptlet.runtimeMounts" $shared | trim | nindent 4 }}
volumes:
  - name: adaptlet-data
    emptyDir: {}
  {{- include "adaptlet.runtimeVolumes" $shared | trim | nindent 2 }}
imagePullSecrets: {{ toJson $injection.imagePullSecrets }}
{{- end }}

{{- /* Where sidecars have their base model from: their own source, or the one of nodes. */}}
{{- define "adaptlet.sidecarSource" -}}
{{- $own := .Values.injection.model }}
{{- $source := .Values.runtime.model.source }}
{{- if or $own.oci.image $own.image.reference }}
{{- $none := dict "persistentVolumeClaim" (dict) "hostPath" (dict) }}
{{- $source = merge $none (dict "oci" $own.oci "image" (merge (dict "pullPolicy" "IfNotPresent") $own.image) "file" $own.file) }}
{{- end }}
{{- include "adaptlet.sourceOf" (dict "root" . "source" $source) }}
{{- end }}

{{- define "adaptlet.injectionScope" -}}
{{- $excluded := concat (list "kube-system" .Release.Namespace) .Values.injection.excludedNamespaces | uniq }}
# Others do not wait: the API server asks about no other pod.
objectSelector:
  matchLabels: {adaptlet.io/inject: "true"}
namespaceSelector:
  matchExpressions:
    - {key: kubernetes.io/metadata.name, operator: NotIn, values: {{ toJson $excluded }}}
{{- end }}

{{- define "adaptlet.injectionRule" -}}
- {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods], scope: Namespaced}
{{- end }}
