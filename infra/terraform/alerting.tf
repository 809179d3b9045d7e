# What wakes somebody up. What is watched is decided in observability/policies.tf; here it becomes
# resources. Messages about models are not here: notify sends them.

module "observability" {
  source = "./observability"

  topology         = module.topology
  project          = var.project
  runbook          = var.docs_url == "" ? "" : "${var.docs_url}/runbook.md"
  schedules_paused = var.schedules_paused
  mlflow_instance  = local.mlflow_instance
  predict_p99_ms   = var.predict_p99_ms
}

resource "google_monitoring_notification_channel" "mail" {
  for_each = toset(var.alert_emails)

  display_name = "Millrace: ${each.key}"
  type         = "email"
  labels       = { email_address = each.key }
  user_labels  = local.labels
}

resource "google_monitoring_alert_policy" "policy" {
  for_each = module.observability.policies

  display_name          = "Millrace ${var.environment}: ${each.value.title}"
  severity              = each.value.severity
  enabled               = each.value.enabled
  combiner              = each.value.combiner
  notification_channels = [for channel in google_monitoring_notification_channel.mail : channel.name]
  user_labels           = merge(local.labels, { policy = each.key })

  documentation {
    subject   = "Millrace ${var.environment}: ${each.value.title}"
    mime_type = "text/markdown"
    content   = "${each.value.text} What to do: ${each.value.link == "" ? "`infra/docs/runbook.md`, \"${each.value.title}\"" : each.value.link}"
    dynamic "links" {
      for_each = each.value.link == "" ? [] : [each.value.link]
      content {
        display_name = "Runbook: ${each.value.title}"
        url          = links.value
      }
    }
  }

  alert_strategy {
    # Silence closes nothing by itself before: counters that stop writing look like an end.
    auto_close = "86400s"
  }

  dynamic "conditions" {
    for_each = each.value.conditions
    content {
      display_name = conditions.value.name

      dynamic "condition_threshold" {
        for_each = conditions.value.absent ? [] : [conditions.value]
        content {
          filter             = condition_threshold.value.filter
          denominator_filter = condition_threshold.value.denominator == "" ? null : condition_threshold.value.denominator
          comparison         = condition_threshold.value.comparison
          threshold_value    = condition_threshold.value.threshold
          duration           = "${condition_threshold.value.duration}s"

          aggregations {
            alignment_period     = "${condition_threshold.value.period}s"
            per_series_aligner   = condition_threshold.value.aligner
            cross_series_reducer = condition_threshold.value.reducer
            group_by_fields      = condition_threshold.value.by
          }

          dynamic "denominator_aggregations" {
            for_each = condition_threshold.value.denominator == "" ? [] : [condition_threshold.value]
            content {
              alignment_period     = "${denominator_aggregations.value.period}s"
              per_series_aligner   = denominator_aggregations.value.aligner
              cross_series_reducer = denominator_aggregations.value.reducer
              group_by_fields      = denominator_aggregations.value.by
            }
          }

          trigger {
            count = 1
          }
        }
      }

      dynamic "condition_absent" {
        for_each = conditions.value.absent ? [conditions.value] : []
        content {
          filter   = condition_absent.value.filter
          duration = "${condition_absent.value.duration}s"

          aggregations {
            alignment_period     = "${condition_absent.value.period}s"
            per_series_aligner   = condition_absent.value.aligner
            cross_series_reducer = condition_absent.value.reducer
            group_by_fields      = condition_absent.value.by
          }

          trigger {
            count = 1
          }
        }
      }
    }
  }
}
