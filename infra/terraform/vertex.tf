# Vertex AI's Model Registry as a mirror: no server of ours, nothing deployed, so nothing waits.

# Google has no grant on a model that does not exist yet, and no role as small as this.
resource "google_project_iam_custom_role" "vertex_registry" {
  count = var.vertex_registry ? 1 : 0

  role_id     = "millraceVertexRegistry"
  title       = "Millrace: versions in Vertex AI's Model Registry"
  description = "Upload a version, find it again, say what became of it. Deploys and deletes nothing."
  permissions = [
    "aiplatform.models.get",
    "aiplatform.models.list",
    "aiplatform.models.update",
    "aiplatform.models.upload",
  ]
}

resource "google_project_iam_member" "vertex_registry" {
  for_each = { for key, edge in local.grants.registry : key => edge if edge.external == "vertex" }

  project = var.project
  role    = google_project_iam_custom_role.vertex_registry[0].name
  member  = each.value.member
}

# Vertex AI copies the package as its own agent, which exists once its API is switched on and asked.
resource "google_storage_bucket_iam_member" "vertex_agent" {
  count = var.vertex_registry ? 1 : 0

  bucket = google_storage_bucket.bucket["lake"].name
  role   = "roles/storage.objectViewer"
  member = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-aiplatform.iam.gserviceaccount.com"
  condition {
    title      = "packages"
    expression = "resource.name.startsWith(\"projects/_/buckets/${local.buckets["lake"]}/objects/models/\") || api.getAttribute(\"storage.googleapis.com/objectListPrefix\", \"\").startsWith(\"models/\")"
  }
}
