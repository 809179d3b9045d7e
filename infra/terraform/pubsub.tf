# Topics, and who gets what of them. Why not Eventarc's own subscriptions:
# infra/decisions/006-pubsub-push-instead-of-eventarc.md

resource "google_pubsub_topic" "topic" {
  for_each = toset(module.topology.topics)

  name = module.topology.topic_names[each.key]

  # A day, so that a subscription that takes another's place can go back to before it was made: what
  # the other still held is lost with it (README.md, "When a filter changes").
  message_retention_duration = "86400s"

  # Messages name rows and files of ours, so they rest where these do.
  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }
}

# Another filter makes another name, since Google changes no filter; the new subscription is there
# before the old one goes.
resource "google_pubsub_subscription" "subscription" {
  for_each = module.topology.subscriptions

  name                       = module.topology.subscription_names[each.key]
  topic                      = google_pubsub_topic.topic[each.value.topic].id
  filter                     = each.value.filter
  ack_deadline_seconds       = each.value.ack_deadline_seconds
  message_retention_duration = "${each.value.retention_days * 86400}s"

  # Without this a month of silence deletes the subscription.
  expiration_policy {
    ttl = ""
  }

  # Without this a refused push comes back at once.
  retry_policy {
    minimum_backoff = "${each.value.min_backoff_seconds}s"
    maximum_backoff = "${each.value.max_backoff_seconds}s"
  }

  dynamic "push_config" {
    for_each = each.value.push == null ? [] : [each.value.push]
    content {
      push_endpoint = google_cloudfunctions2_function.function[push_config.value].service_config[0].uri
      oidc_token {
        service_account_email = google_service_account.identity["push-${push_config.value}"].email
        # The root, whatever path is called: Cloud Run answers 403 to any other audience.
        audience = google_cloudfunctions2_function.function[push_config.value].service_config[0].uri
      }
    }
  }

  # Text, one message a line: what the predictor publishes is a line already.
  dynamic "cloud_storage_config" {
    for_each = each.value.export == null ? [] : [each.value.export]
    content {
      bucket                   = google_storage_bucket.bucket[cloud_storage_config.value.bucket].name
      filename_prefix          = cloud_storage_config.value.prefix
      filename_suffix          = ".jsonl"
      filename_datetime_format = cloud_storage_config.value.datetime_format
      max_duration             = "${cloud_storage_config.value.max_seconds}s"
    }
  }

  dynamic "dead_letter_policy" {
    for_each = each.value.dead_letter ? [each.value.max_delivery_attempts] : []
    content {
      dead_letter_topic     = google_pubsub_topic.topic["dead-letters"].id
      max_delivery_attempts = dead_letter_policy.value
    }
  }

  lifecycle {
    create_before_destroy = true
  }

  depends_on = [time_sleep.grants]
}

# A Cloud Storage subscription writes as Pub/Sub's service agent.
resource "google_storage_bucket_iam_member" "export_writer" {
  for_each = merge([
    for key, item in module.topology.subscriptions : {
      for role in ["roles/storage.objectCreator", "roles/storage.legacyBucketReader"] :
      "${item.export.bucket}:${role}" => { bucket = item.export.bucket, role = role }
    } if item.export != null
  ]...)

  bucket = google_storage_bucket.bucket[each.value.bucket].name
  role   = each.value.role
  member = local.agents.pubsub

  depends_on = [time_sleep.service_agents]
}
