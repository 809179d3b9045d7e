# What the installation promises, measured: goals are in observability/objectives.tf.

# Seconds from an upload to the version that policy lets serve at once, of the line that promote logs
# then (shared/usecases/promoted.py). One distribution for all models: a label each would be a bill each.
resource "google_logging_metric" "drop_to_served" {
  name            = "millrace/drop_to_served"
  description     = "Seconds from the last file's upload to the move of the serving manifest."
  filter          = "resource.type = \"cloud_run_revision\" AND resource.labels.service_name = \"promote\" AND jsonPayload.drop_to_served_seconds >= 0"
  value_extractor = "EXTRACT(jsonPayload.drop_to_served_seconds)"

  metric_descriptor {
    metric_kind  = "DELTA"
    value_type   = "DISTRIBUTION"
    unit         = "s"
    display_name = "Millrace: from a drop to a served version"
  }

  # 10 s to about a day and a half.
  bucket_options {
    exponential_buckets {
      num_finite_buckets = 40
      growth_factor      = 1.25
      scale              = 10
    }
  }
}

# Cloud Monitoring takes a while to know a metric that is new.
resource "time_sleep" "drop_to_served" {
  create_duration = "120s"
  triggers        = { metric = google_logging_metric.drop_to_served.name }
}

resource "google_monitoring_custom_service" "promise" {
  for_each = toset([for objective in values(module.observability.objectives) : objective.service])

  service_id   = "millrace-${each.key}"
  display_name = "Millrace: ${each.key}"
  user_labels  = local.labels

  dynamic "telemetry" {
    for_each = contains(keys(google_cloud_run_v2_service.service), each.key) ? [each.key] : []
    content {
      resource_name = "//run.googleapis.com/projects/${var.project}/locations/${var.region}/services/${telemetry.value}"
    }
  }
}

resource "google_monitoring_slo" "objective" {
  for_each = module.observability.objectives

  service             = google_monitoring_custom_service.promise[each.value.service].service_id
  slo_id              = each.key
  display_name        = each.value.title
  goal                = each.value.goal
  rolling_period_days = 28
  user_labels         = local.labels

  request_based_sli {
    dynamic "good_total_ratio" {
      for_each = each.value.total == "" ? [] : [each.value]
      content {
        bad_service_filter   = good_total_ratio.value.bad
        total_service_filter = good_total_ratio.value.total
      }
    }

    dynamic "distribution_cut" {
      for_each = each.value.distribution == "" ? [] : [each.value]
      content {
        distribution_filter = distribution_cut.value.distribution
        range {
          max = distribution_cut.value.below
        }
      }
    }
  }

  depends_on = [time_sleep.drop_to_served]
}
