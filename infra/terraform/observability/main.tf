# What is watched, and how it is drawn, derived from the topology: another function, job or
# subscription is in it without an edit. Knows no provider, so tests run it without a cloud; alerting.tf,
# dashboard.tf and slo.tf of the root make resources of it.
# Names of metrics: https://cloud.google.com/monitoring/api/metrics_gcp

locals {
  names = {
    functions     = keys(var.topology.functions)
    services      = keys(var.topology.services)
    jobs          = values(var.topology.job_names)
    subscriptions = values(var.topology.subscription_names)
  }
  any = { for kind, names in local.names : kind => "monitoring.regex.full_match(\"${join("|", sort(names))}\")" }

  # Functions are Cloud Run services as well, and these metrics know more than their own.
  of_functions     = "resource.type = \"cloud_run_revision\" AND resource.labels.service_name = ${local.any.functions}"
  of_services      = "resource.type = \"cloud_run_revision\" AND resource.labels.service_name = ${local.any.services}"
  of_jobs          = "resource.type = \"cloud_run_job\" AND resource.labels.job_name = ${local.any.jobs}"
  of_subscriptions = "resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = ${local.any.subscriptions}"
  of_mlflow        = "resource.type = \"cloud_run_revision\" AND resource.labels.service_name = \"mlflow\""
  of_database      = "resource.type = \"cloudsql_database\" AND resource.labels.database_id = \"${var.project}:${var.mlflow_instance}\""

  requests  = "metric.type = \"run.googleapis.com/request_count\""
  latencies = "metric.type = \"run.googleapis.com/request_latencies\""
  failed    = "metric.labels.response_code_class = \"5xx\""

  # Of the line that promote writes when an upload serves; slo.tf makes it.
  served = "resource.type = \"cloud_run_revision\" AND metric.type = \"logging.googleapis.com/user/millrace/drop_to_served\""
}
