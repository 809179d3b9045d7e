# Who builds functions: installs what their locks name, and so runs strangers' code. It may write the
# two repositories, read bundles, and log; nothing else in the project.

resource "google_service_account" "build" {
  account_id   = "mr-build"
  display_name = "Millrace builds"

  depends_on = [time_sleep.services]
}

resource "google_artifact_registry_repository_iam_member" "build" {
  for_each = google_artifact_registry_repository.repository

  repository = each.value.repository_id
  location   = each.value.location
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.build.member
}

resource "google_storage_bucket_iam_member" "build" {
  bucket = google_storage_bucket.bundles.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.build.member
}

# Logs have no smaller place than the project.
resource "google_project_iam_member" "build_logs" {
  project = var.project
  role    = "roles/logging.logWriter"
  member  = google_service_account.build.member
}

# Google copies a bundle into a bucket of its own, which is there only after the first function; so the
# right is the project's, on buckets of that name.
resource "google_project_iam_member" "build_sources" {
  project = var.project
  role    = "roles/storage.objectViewer"
  member  = google_service_account.build.member
  condition {
    title       = "sources-of-functions"
    description = "Only where Cloud Functions keeps what it builds from."
    expression  = "resource.name.startsWith(\"projects/_/buckets/gcf-v2-sources-${data.google_project.this.number}-\")"
  }
}

# What is built next may need these rights at once.
resource "time_sleep" "builder" {
  create_duration = "60s"
  depends_on = [
    google_artifact_registry_repository_iam_member.build,
    google_storage_bucket_iam_member.build,
    google_project_iam_member.build_logs,
    google_project_iam_member.build_sources,
  ]
}
