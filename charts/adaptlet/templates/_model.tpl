{{- /* Where the base model comes from: the setting `model`, and the volume behind it with a folder in it where there is one. */}}
{{- define "adaptlet.modelSource" -}}
{{- include "adaptlet.sourceOf" (dict "root" . "source" .Values.runtime.model.source) }}
{{- end }}

{{- define "adaptlet.sourceOf" -}}
{{- $source := .source }}
{{- $of := dict "model" "/model" "file" $source.file }}
{{- if $source.oci.image }}
{{- $_ := set $of "model" (printf "oci://%s@%s" $source.oci.image $source.oci.digest) }}
{{- else if $source.image.reference }}
{{- $_ := set $of "volume" (dict "image" (pick $source.image "reference" "pullPolicy")) }}
{{- $_ := set $of "path" $source.image.path }}
{{- else if $source.persistentVolumeClaim.claimName }}
{{- $_ := set $of "volume" (dict "persistentVolumeClaim" (dict "claimName" $source.persistentVolumeClaim.claimName "readOnly" true)) }}
{{- $_ := set $of "path" $source.persistentVolumeClaim.path }}
{{- else }}
{{- $_ := set $of "volume" (dict "hostPath" (dict "path" (include "adaptlet.modelFolder" .root) "type" "Directory")) }}
{{- end }}
{{- toJson $of }}
{{- end }}

{{- /* The folder on the nodes; empty where the model comes from elsewhere. */}}
{{- define "adaptlet.modelFolder" -}}
{{- $model := .Values.runtime.model }}
{{- $source := $model.source }}
{{- if not (or $source.oci.image $source.image.reference $source.persistentVolumeClaim.claimName) }}
{{- $source.hostPath.path | default (printf "/var/lib/adaptlet-models/%s" $model.name) }}
{{- end }}
{{- end }}
