{{- /* A Service that leads from outside of the pod network to one port of the operator: `target` is its name. */}}
{{- define "adaptlet.entrance" -}}
{{- $of := dict "root" .root "component" "operator" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "adaptlet.labels" $of | nindent 4 }}
  {{- with .service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ .service.type }}
  {{- with and (eq .service.type "LoadBalancer") .service.loadBalancerClass }}
  loadBalancerClass: {{ . }}
  {{- end }}
  selector:
    {{- include "adaptlet.selector" $of | nindent 4 }}
  ports:
    - name: {{ .target }}
      port: {{ int64 .service.port }}
      targetPort: {{ .target }}
      {{- with and (ne .service.type "ClusterIP") .service.nodePort }}
      nodePort: {{ int64 . }}
      {{- end }}
{{- end }}
