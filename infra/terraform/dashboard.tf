# One page for the machinery; drawn in observability/dashboard.tf.

resource "google_monitoring_dashboard" "machinery" {
  dashboard_json = jsonencode(merge(module.observability.dashboard, { displayName = "Millrace ${var.environment}" }))

  depends_on = [google_logging_metric.drop_to_served]
}
