# Says when the month gets dearer than planned. It stops nothing: what costs while nothing happens is
# little, and switching a predictor off is a decision for people.

# Budgets belong to a billing account; the API wants to know whose quota a person's calls are.
provider "google" {
  alias                 = "quota"
  project               = var.project
  region                = var.region
  billing_project       = var.project
  user_project_override = true
}

resource "google_billing_budget" "month" {
  count    = var.billing_account == "" ? 0 : 1
  provider = google.quota

  billing_account = var.billing_account
  display_name    = "Millrace ${var.environment} (${var.project})"

  budget_filter {
    projects = ["projects/${data.google_project.this.number}"]
    # What free tiers pay is not spent.
    credit_types_treatment = "INCLUDE_ALL_CREDITS"
    calendar_period        = "MONTH"
  }

  amount {
    specified_amount {
      units = tostring(var.budget_amount)
    }
  }

  dynamic "threshold_rules" {
    for_each = [0.5, 0.9, 1.0]
    content {
      threshold_percent = threshold_rules.value
      spend_basis       = "CURRENT_SPEND"
    }
  }

  # Early enough to do something about it.
  threshold_rules {
    threshold_percent = 1.0
    spend_basis       = "FORECASTED_SPEND"
  }

  dynamic "all_updates_rule" {
    for_each = length(var.alert_emails) == 0 ? [] : [1]
    content {
      # A budget knows at most five channels; billing administrators hear of it anyway.
      monitoring_notification_channels = slice(sort([for channel in google_monitoring_notification_channel.mail : channel.name]), 0, min(5, length(var.alert_emails)))
    }
  }
}
