{{- define "weir.name" -}}
{{- default "weir" .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "weir.operator" -}}{{ include "weir.name" . }}-operator{{- end -}}

{{/* Labels of everything; call with (dict "root" . "component" "operator"). */}}
{{- define "weir.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: weir
{{ include "weir.selector" . }}
{{- end -}}

{{- define "weir.selector" -}}
app.kubernetes.io/name: {{ include "weir.name" .root }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{/* The DaemonSet's settings, as the operator reads them. */}}
{{- define "weir.nodeSettings" -}}
{{- $node := .Values.node -}}
image: {{ printf "%s:%s" $node.image.repository (default .Chart.AppVersion $node.image.tag) | quote }}
imagePullPolicy: {{ $node.image.pullPolicy }}
imagePullSecrets: {{ toJson .Values.imagePullSecrets }}
log: {{ $node.log | quote }}
tlsProbes: {{ $node.tlsProbes }}
adminPort: {{ $node.adminPort }}
{{- with $node.ringBytes }}
ringBytes: {{ int64 . }}
{{- end }}
{{- if $node.metrics.endpoint }}
metrics: {{ toJson $node.metrics }}
{{- end }}
captureAgent: {{ toJson $node.captureAgent }}
forwarder: {{ toJson $node.forwarder }}
{{- if $node.state.hostPath }}
state: {{ toJson (dict "hostPath" $node.state.hostPath) }}
{{- else }}
state: {{ toJson (dict "emptyDir" $node.state.emptyDir) }}
{{- end }}
priorityClassName: {{ $node.priorityClassName | quote }}
nodeSelector: {{ toJson $node.nodeSelector }}
tolerations: {{ toJson $node.tolerations }}
{{- with $node.affinity }}
affinity: {{ toJson . }}
{{- end }}
podAnnotations: {{ toJson $node.podAnnotations }}
podLabels: {{ toJson $node.podLabels }}
maxUnavailable: {{ toJson $node.maxUnavailable }}
terminationGracePeriodSeconds: {{ int $node.terminationGracePeriodSeconds }}
{{- end -}}
