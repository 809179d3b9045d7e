# What must be there before anything can be built: APIs, places for images and bundles, and the
# account that builds. Applied first and seldom; ../ is the installation itself.

data "google_project" "this" {
  project_id = var.project
}

locals {
  services = concat(
    [
      "artifactregistry.googleapis.com",
      "cloudbuild.googleapis.com",
      "cloudfunctions.googleapis.com",
      "cloudresourcemanager.googleapis.com",
      "cloudscheduler.googleapis.com",
      "iam.googleapis.com",
      "iamcredentials.googleapis.com",
      "logging.googleapis.com",
      "monitoring.googleapis.com",
      "pubsub.googleapis.com",
      "run.googleapis.com",
      "secretmanager.googleapis.com",
      "serviceusage.googleapis.com",
      "storage.googleapis.com",
      "sts.googleapis.com", # GitHub's identities, where its workflows are let in
    ],
    var.mlflow == "server" ? ["sqladmin.googleapis.com"] : [],
    var.vertex_registry ? ["aiplatform.googleapis.com"] : [],
    var.billing_account != "" ? ["billingbudgets.googleapis.com"] : [],
  )

  # Images of services and jobs, which the pipeline pushes; images of functions, which Google builds.
  repositories = {
    millrace           = "images of the predictor, the jobs and MLflow"
    millrace-functions = "what Google builds of the functions' bundles"
  }
}

resource "google_project_service" "service" {
  for_each = toset(local.services)

  service = each.key
  # An API may be somebody else's as well; and with it off nothing of ours could be deleted.
  disable_on_destroy         = false
  disable_dependent_services = false
}

# An API that was switched on this minute answers 403 for another, and its service agent is not there.
resource "time_sleep" "services" {
  create_duration = "90s"
  triggers        = { services = join(",", sort(local.services)) }
  depends_on      = [google_project_service.service]
}

resource "google_artifact_registry_repository" "repository" {
  for_each = local.repositories

  repository_id = each.key
  location      = var.region
  format        = "DOCKER"
  description   = each.value

  # Keeping beats deleting: of every image the newest ten, whatever their age, so that a rollback to
  # one of the last releases finds it and what runs is never deleted for being old.
  cleanup_policies {
    id     = "keep-newest"
    action = "KEEP"
    most_recent_versions {
      keep_count = 10
    }
  }
  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"
    condition {
      older_than = "2592000s"
    }
  }
  cleanup_policy_dry_run = false

  depends_on = [time_sleep.services]
}

# Zips of functions, named by content. Whoever writes here decides what runs, so it is neither of the
# installation's buckets.
resource "google_storage_bucket" "bundles" {
  name                        = "${var.project}-millrace-bundles"
  location                    = var.region
  force_destroy               = !var.deletion_protection
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  # They can be made again from the commit.
  soft_delete_policy {
    retention_duration_seconds = 0
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 1
    }
  }

  depends_on = [time_sleep.services]
}
