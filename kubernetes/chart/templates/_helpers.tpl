{{- define "netkeel.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "netkeel.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "netkeel.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "netkeel.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "netkeel.selectorLabels" -}}
app.kubernetes.io/name: {{ include "netkeel.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "netkeel.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "netkeel.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "netkeel.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "netkeel.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The name of objects without a namespace: two releases have two. Some append a word to it. */}}
{{- define "netkeel.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "netkeel.fullname" .) | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The annotations of an object of `helm test`, with its place in the order. */}}
{{- define "netkeel.testHook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{- define "netkeel.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* The document of the chart: the values' own, with the replication of the values. */}}
{{- define "netkeel.document" -}}
{{- $document := merge (dict "version" 1) (deepCopy .Values.document) }}
{{- if .Values.replication.enabled }}
{{- $replication := .Values.replication }}
{{- $entry := dict "interfaces" $replication.interfaces "group" (int $replication.group) }}
{{- if $replication.ignoreSources }}{{- $_ := set $entry "ignore_sources" $replication.ignoreSources }}{{- end }}
{{- $nflog := merge (dict "packet-too-big" $entry) (default dict (get $document "nflog")) }}
{{- $_ := set $document "nflog" $nflog }}
{{- $service := printf "%s/%s" .Release.Namespace (include "netkeel.fullname" .) }}
{{- $worker := dict "nflog" "packet-too-big" "mode" $replication.mode }}
{{- if $replication.peers }}
{{- $_ := set $worker "peers" $replication.peers }}
{{- else }}
{{- $_ := set $worker "peers" (dict "endpoints" (dict "service" $service "families" $replication.families)) }}
{{- end }}
{{- if $replication.ttl }}{{- $_ := set $worker "ttl" (int $replication.ttl) }}{{- end }}
{{- if $replication.vips }}{{- $_ := set $worker "vips" $replication.vips }}{{- end }}
{{- $_ := set $document "replicate" (merge (default dict (get $document "replicate")) $worker) }}
{{- end }}
{{- toYaml $document }}
{{- end }}
