# Services from images: the predictor. Terraform makes revisions, the apply build moves traffic:
# infra/decisions/024-terraform-makes-revisions.md

resource "google_cloud_run_v2_service" "service" {
  for_each = module.topology.services

  name                = each.key
  location            = var.region
  description         = each.value.purpose
  ingress             = var.predict_ingress
  deletion_protection = var.deletion_protection

  # Of the service: a revision's own minimum would be kept for every revision that has a tag, so for
  # the last two of each rollout. https://cloud.google.com/run/docs/configuring/min-instances
  scaling {
    min_instance_count = var.predict_min_instances
  }

  template {
    service_account                  = google_service_account.identity[each.key].email
    timeout                          = "${each.value.timeout_seconds}s"
    max_instance_request_concurrency = each.value.concurrency

    scaling {
      max_instance_count = coalesce(var.predict_max_instances, each.value.max_instances)
    }

    containers {
      image = var.images[each.key]

      ports {
        container_port = 8080
      }

      resources {
        limits = { cpu = each.value.cpu, memory = each.value.memory }
        # Billed while it answers. Without this line a `resources` block means billed all the time.
        cpu_idle          = true
        startup_cpu_boost = true
      }

      # Answers once models are loaded; a port that is open says nothing, for gunicorn listens before.
      # Not /healthz: Google keeps paths that end in z for itself. Not /ready: an installation
      # without a champion is sound. Four minutes are the most there is. No liveness probe: the
      # master starts a worker that dies, and a busy one must not be killed for being busy.
      startup_probe {
        http_get {
          path = "/v2/health/live"
          port = 8080
        }
        period_seconds    = 1
        timeout_seconds   = 1
        failure_threshold = 240
      }

      dynamic "env" {
        for_each = local.env
        content {
          name  = env.key
          value = env.value
        }
      }
    }
  }

  # Of the very first revision; then the build decides, below.
  traffic {
    type    = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
    percent = 100
  }

  lifecycle {
    ignore_changes = [traffic, client, client_version]
  }

  depends_on = [time_sleep.grants]
}
