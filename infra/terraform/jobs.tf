# A job for each size: an execution may be given other variables and tasks, but no other cpu or memory.

resource "google_cloud_run_v2_job" "job" {
  for_each = module.topology.deployed_jobs

  name                = module.topology.job_names[each.key]
  location            = var.region
  deletion_protection = var.deletion_protection

  template {
    # launch and sweep say how many when they start one; all of them at once.
    task_count  = 1
    parallelism = 0

    template {
      service_account = google_service_account.identity[each.value.job].email
      # Of one attempt. Stated, for Google's own is ten minutes and three retries.
      timeout     = "${each.value.timeout_seconds}s"
      max_retries = each.value.max_retries

      containers {
        image = var.images[each.value.job]

        resources {
          limits = { cpu = each.value.cpu, memory = each.value.memory }
        }

        dynamic "env" {
          for_each = merge(local.env, { OMP_NUM_THREADS = each.value.cpu })
          content {
            name  = env.key
            value = env.value
          }
        }
      }
    }
  }

  lifecycle {
    ignore_changes = [client, client_version]
  }

  depends_on = [time_sleep.grants]
}
