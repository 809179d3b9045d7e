# What each of them may do, as flat tables that a test reads: no basic role, nobody but apply changes
# what runs, and prefixes where an identity needs one.

locals {
  # Terraform asks every resource what it is like. Reading secrets' values is in none of these.
  reading = [
    "roles/artifactregistry.reader",
    "roles/browser",
    "roles/cloudbuild.builds.viewer",
    "roles/cloudfunctions.viewer",
    "roles/cloudscheduler.viewer",
    "roles/iam.roleViewer",
    "roles/iam.securityReviewer",
    "roles/iam.serviceAccountViewer",
    "roles/iam.workloadIdentityPoolViewer",
    "roles/logging.viewer",
    "roles/monitoring.viewer",
    "roles/pubsub.viewer",
    "roles/run.viewer",
    "roles/secretmanager.viewer",
    "roles/serviceusage.serviceUsageViewer",
  ]
  reading_mlflow = ["roles/cloudsql.viewer"]

  # As `./millrace doctor` asks of a person who deploys; a test holds the two lists together.
  applying = [
    "roles/artifactregistry.admin",
    "roles/cloudbuild.builds.editor",
    "roles/cloudfunctions.admin",
    "roles/cloudscheduler.admin",
    "roles/iam.roleAdmin",
    "roles/iam.serviceAccountAdmin",
    "roles/iam.serviceAccountUser",
    "roles/logging.configWriter",
    "roles/monitoring.admin",
    "roles/pubsub.admin",
    "roles/resourcemanager.projectIamAdmin",
    "roles/run.admin",
    "roles/secretmanager.admin",
    "roles/serviceusage.serviceUsageAdmin",
    "roles/storage.admin",
  ]
  applying_mlflow = ["roles/cloudsql.admin"]
  # Of this module alone, where it makes a pool.
  applying_github = ["roles/iam.workloadIdentityPoolAdmin"]

  # Google offers these for a whole project only.
  project_roles = {
    check = ["roles/logging.logWriter"]
    plan  = concat(["roles/logging.logWriter"], local.reading, var.mlflow ? local.reading_mlflow : [])
    apply = concat(
      ["roles/logging.logWriter"],
      local.applying,
      var.mlflow ? local.applying_mlflow : [],
      local.github ? local.applying_github : [],
    )
  }
  project_grants = merge([
    for who, roles in local.project_roles : {
      for role in roles : "${who} ${role}" => { who = who, role = role } if contains(keys(local.identities), who)
    }
  ]...)

  # Objects below one prefix; every prefix here is closed with a slash.
  prefix_grants = {
    for key, grant in {
      # Terraform asks of every bundle whether it is still there.
      "plan functions"   = { who = "plan", bucket = local.bundles, role = "roles/storage.objectViewer", prefixes = ["functions/"] }
      "plan plans"       = { who = "plan", bucket = local.bundles, role = "roles/storage.objectUser", prefixes = ["plans/"] }
      "plan state"       = { who = "plan", bucket = local.state, role = "roles/storage.objectViewer", prefixes = ["foundation/", "installation/"] }
      "specs inbox"      = { who = "specs", bucket = var.inbox, role = "roles/storage.objectUser", prefixes = ["_specs/"] }
      "review documents" = { who = "review", bucket = var.lake, role = "roles/storage.objectViewer", prefixes = ["approvals/", "models/", "serving/", "specs/"] }
    } : key => grant if contains(keys(local.identities), grant.who)
  }

  # Names of objects and a bucket's own settings, never contents: listing knows no prefix.
  listing_grants = {
    for key, grant in {
      "plan bundles" = { who = "plan", bucket = local.bundles }
      "plan inbox"   = { who = "plan", bucket = var.inbox }
      "plan lake"    = { who = "plan", bucket = var.lake }
      "plan state"   = { who = "plan", bucket = local.state }
      "review lake"  = { who = "review", bucket = var.lake }
    } : key => grant if contains(keys(local.identities), grant.who)
  }

  # Being somebody: for the smoke test's identity token, and for dropping specs as who may only that.
  account_grants = {
    for key, grant in {
      "apply itself" = { who = "apply", as = "apply", role = "roles/iam.serviceAccountTokenCreator" }
      "apply specs"  = { who = "apply", as = "specs", role = "roles/iam.serviceAccountTokenCreator" }
    } : key => grant if contains(keys(local.identities), grant.who)
  }
}

resource "google_project_iam_member" "grant" {
  for_each = local.project_grants

  project = var.project
  role    = each.value.role
  member  = google_service_account.identity[each.value.who].member
}

resource "google_storage_bucket_iam_member" "prefix" {
  for_each = local.prefix_grants

  bucket = each.value.bucket
  role   = each.value.role
  member = google_service_account.identity[each.value.who].member
  condition {
    title = replace(each.key, " ", "-")
    expression = join(" || ", [
      for prefix in each.value.prefixes :
      "resource.name.startsWith(\"projects/_/buckets/${each.value.bucket}/objects/${prefix}\")"
    ])
  }
}

resource "google_storage_bucket_iam_member" "listing" {
  for_each = local.listing_grants

  bucket = each.value.bucket
  role   = "roles/storage.legacyBucketReader"
  member = google_service_account.identity[each.value.who].member
}

resource "google_artifact_registry_repository_iam_member" "images" {
  count = local.connected ? 1 : 0

  repository = "millrace"
  location   = var.region
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.identity["plan"].member
}

resource "google_service_account_iam_member" "being" {
  for_each = local.account_grants

  service_account_id = google_service_account.identity[each.value.as].name
  role               = each.value.role
  member             = google_service_account.identity[each.value.who].member
}

resource "google_cloud_run_v2_service_iam_member" "smoke" {
  count = local.connected ? 1 : 0

  name     = var.predictor
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.identity["apply"].member
}

resource "google_service_account_iam_member" "github" {
  count = local.github ? 1 : 0

  service_account_id = google_service_account.identity["review"].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.github[0].name}/attribute.repository/${var.github_repository}"
}

resource "google_project_iam_member" "approver" {
  for_each = local.connected ? toset(var.approvers) : []

  project = var.project
  role    = "roles/cloudbuild.builds.approver"
  member  = each.value
}
