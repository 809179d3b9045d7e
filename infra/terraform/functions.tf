# 2nd gen functions behind HTTPS: no Eventarc trigger, our subscriptions push to them.

resource "google_storage_bucket_object" "bundle" {
  for_each = module.topology.functions

  bucket = local.foundation.bundles
  # Named by content: without another name Google builds nothing.
  name   = "functions/${each.key}-${var.bundles[each.key].hash}.zip"
  source = var.bundles[each.key].path

  lifecycle {
    create_before_destroy = true
    # The name says what is in it, so where it was built is nobody's business.
    ignore_changes = [source, detect_md5hash]
  }
}

resource "google_cloudfunctions2_function" "function" {
  for_each = module.topology.functions

  name        = each.key
  location    = var.region
  description = each.value.purpose

  build_config {
    runtime           = "python311"
    entry_point       = "main"
    docker_repository = local.foundation.function_images
    # Else the Compute Engine default account builds, with rights over everything or none.
    service_account = local.foundation.build
    source {
      storage_source {
        bucket = google_storage_bucket_object.bundle[each.key].bucket
        object = google_storage_bucket_object.bundle[each.key].name
      }
    }
  }

  service_config {
    service_account_email            = google_service_account.identity[each.key].email
    timeout_seconds                  = each.value.timeout_seconds
    available_memory                 = each.value.memory
    available_cpu                    = each.value.cpu
    max_instance_request_concurrency = each.value.concurrency
    min_instance_count               = 0
    max_instance_count               = each.value.max_instances
    ingress_settings                 = each.value.path == null ? var.function_ingress : "ALLOW_ALL"
    all_traffic_on_latest_revision   = true
    environment_variables = merge(local.env, {
      MILLRACE_CLAIM_SECONDS = tostring(each.value.claim_seconds)
      # functions-framework takes four a core otherwise.
      THREADS         = tostring(each.value.concurrency)
      OMP_NUM_THREADS = "1"
    })

    dynamic "secret_environment_variables" {
      for_each = { for key in each.value.secrets : key => var.secret_versions[key] if contains(keys(var.secret_versions), key) }
      content {
        key        = upper(replace(secret_environment_variables.key, "-", "_"))
        project_id = var.project
        secret     = google_secret_manager_secret.secret[secret_environment_variables.key].secret_id
        version    = secret_environment_variables.value
      }
    }
  }

  depends_on = [time_sleep.grants]
}
