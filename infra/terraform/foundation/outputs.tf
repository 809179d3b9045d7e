output "foundation" {
  description = "Where to push images and bundles, and who builds."
  value = {
    project        = var.project
    project_number = data.google_project.this.number
    region         = var.region
    images         = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.repository["millrace"].repository_id}"
    bundles        = google_storage_bucket.bundles.name
    builder        = google_service_account.build.email
  }
  depends_on = [time_sleep.builder]
}
