# The two buckets. People write into the inbox, only the system into the lake; what is kept how long
# stands in infra/topology.yaml.

resource "google_storage_bucket" "bucket" {
  for_each = module.topology.buckets

  name          = local.buckets[each.key]
  location      = var.region
  storage_class = "STANDARD"
  # With protection a bucket that has objects stays, and with it the destroy.
  force_destroy               = !var.deletion_protection
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = each.value.versioning
  }

  # Stated, because Google's default (on, and billed) may change.
  soft_delete_policy {
    retention_duration_seconds = each.value.soft_delete_days * 86400
  }

  dynamic "lifecycle_rule" {
    for_each = each.value.noncurrent_days == null ? [] : [each.value.noncurrent_days]
    content {
      action {
        type = "Delete"
      }
      condition {
        days_since_noncurrent_time = lifecycle_rule.value
        with_state                 = "ARCHIVED"
      }
    }
  }

  dynamic "lifecycle_rule" {
    for_each = each.value.retention
    content {
      action {
        type = "Delete"
      }
      condition {
        age            = lifecycle_rule.value
        matches_prefix = [lifecycle_rule.key]
        with_state     = "LIVE"
      }
    }
  }

  # Uploads that died half-way are invisible and billed.
  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 7
    }
  }
}

# Cloud Storage itself publishes, as its service agent; reading the data source makes the agent.
data "google_storage_project_service_account" "agent" {
  project = var.project
}

resource "google_pubsub_topic_iam_member" "storage_agent" {
  for_each = { for key, bucket in module.topology.buckets : key => bucket if bucket.notify_topic != null }

  topic  = google_pubsub_topic.topic[each.value.notify_topic].id
  role   = "roles/pubsub.publisher"
  member = data.google_storage_project_service_account.agent.member
}

resource "google_storage_notification" "notification" {
  for_each = { for key, bucket in module.topology.buckets : key => bucket if bucket.notify_topic != null }

  bucket         = google_storage_bucket.bucket[each.key].name
  topic          = google_pubsub_topic.topic[each.value.notify_topic].id
  payload_format = "JSON_API_V1"
  event_types    = ["OBJECT_FINALIZE"]

  depends_on = [time_sleep.grants]
}
