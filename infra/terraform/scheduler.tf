# What depends on time is a message like all others: no address, no token, no deadline.

resource "google_cloud_scheduler_job" "schedule" {
  for_each = module.topology.schedules

  name        = "millrace-${each.key}"
  region      = var.region
  description = "Publishes ${each.value.message}."
  schedule    = each.value.cron
  time_zone   = "Etc/UTC"
  paused      = var.schedules_paused

  pubsub_target {
    topic_name = google_pubsub_topic.topic[each.value.topic].id
    # A message needs a body as well as the attribute that subscriptions filter by.
    data       = base64encode(jsonencode({ type = each.value.message }))
    attributes = { type = each.value.message }
  }

  retry_config {
    retry_count          = 3
    min_backoff_duration = "5s"
    max_backoff_duration = "60s"
  }
}
