# Who may do what: one resource for each kind of thing, each a plain loop over the topology's edges
# (topology/access.tf). Nothing is granted elsewhere, except what ../terraform/foundation gives the
# builder; a test compares. Every grant is on one bucket, topic, subscription, job, service or secret;
# `local.project_roles` says which are the project's, and why.

locals {
  # `grants[kind][key]`: the edges that are on, once for every member. Reads: infra/docs/access.md.
  grants = {
    for kind, edges in {
      bucket   = module.topology.bucket_grants
      topic    = module.topology.topic_grants
      job      = module.topology.job_grants
      invoker  = module.topology.invoker_grants
      secret   = module.topology.secret_grants
      registry = module.topology.registry_grants
      project  = module.topology.project_grants
    } :
    kind => merge([
      for key, edge in edges : {
        for name, member in lookup(local.members, edge.who, {}) : "${key}${name}" => merge(edge, { member = member })
      } if contains(local.switched_on, edge.when)
    ]...)
  }
}

# --- between our parts -----------------------------------------------------------------------------

resource "google_storage_bucket_iam_member" "access" {
  for_each = local.grants.bucket

  bucket = google_storage_bucket.bucket[each.value.bucket].name
  role   = each.value.role
  member = each.value.member
  condition {
    title      = each.value.title
    expression = each.value.condition
  }

  # Another condition is another binding, since titles name their key: a part whose rights change keeps
  # the old ones until it has the new ones.
  lifecycle {
    create_before_destroy = true
  }
}

resource "google_pubsub_topic_iam_member" "publisher" {
  for_each = local.grants.topic

  topic  = google_pubsub_topic.topic[each.value.topic].id
  role   = "roles/pubsub.publisher"
  member = each.value.member
}

# Starting a job with other variables and tasks is not among an invoker's rights.
resource "google_cloud_run_v2_job_iam_member" "runner" {
  for_each = local.grants.job

  name     = google_cloud_run_v2_job.job[each.value.job].name
  location = google_cloud_run_v2_job.job[each.value.job].location
  role     = "roles/run.jobsExecutorWithOverrides"
  member   = each.value.member
}

# Whoever starts executions looks first whether one is there. Google's roles that may look, may see
# everything else of Cloud Run as well.
resource "google_project_iam_custom_role" "executions" {
  role_id     = "millraceExecutions"
  title       = "Millrace: look after executions"
  description = "See the executions of a job: what runs, how it ended, with which variables."
  permissions = ["run.executions.get", "run.executions.list"]
}

resource "google_cloud_run_v2_job_iam_member" "watcher" {
  for_each = local.grants.job

  name     = google_cloud_run_v2_job.job[each.value.job].name
  location = google_cloud_run_v2_job.job[each.value.job].location
  role     = google_project_iam_custom_role.executions.id
  member   = each.value.member
}

# A 2nd gen function is called as the Cloud Run service of its name.
resource "google_cloud_run_v2_service_iam_member" "invoker" {
  for_each = { for key, edge in local.grants.invoker : key => edge if contains(keys(local.callable), edge.service) }

  name     = local.callable[each.value.service]
  location = var.region
  role     = "roles/run.invoker"
  member   = each.value.member
}

locals {
  callable = merge(
    { for key, function in google_cloudfunctions2_function.function : key => function.name },
    { for key, service in google_cloud_run_v2_service.service : key => service.name },
    { for service in google_cloud_run_v2_service.mlflow : "mlflow" => service.name },
  )
}

resource "google_secret_manager_secret_iam_member" "reader" {
  for_each = local.grants.secret

  secret_id = google_secret_manager_secret.secret[each.value.secret].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = each.value.member
}

# What people on call look at has no smaller place.
resource "google_project_iam_member" "people" {
  for_each = local.grants.project

  project = var.project
  role    = each.value.role
  member  = each.value.member
}

# --- Google's agents between them ------------------------------------------------------------------

# What a subscription gives up goes to the dead letters, and is taken off the subscription.
resource "google_pubsub_topic_iam_member" "dead_letter_publisher" {
  topic  = google_pubsub_topic.topic[module.topology.agent_grants.dead_topic].id
  role   = "roles/pubsub.publisher"
  member = local.agents.pubsub

  depends_on = [time_sleep.service_agents]
}

resource "google_pubsub_subscription_iam_member" "dead_letter_subscriber" {
  for_each = toset(module.topology.agent_grants.dead_letters)

  subscription = google_pubsub_subscription.subscription[each.key].id
  role         = "roles/pubsub.subscriber"
  member       = local.agents.pubsub
}

# Scheduler publishes as its own agent, whatever account a job has; on most projects the agent may
# already, as part of a role of Google's that somebody could have taken away.
resource "google_pubsub_topic_iam_member" "scheduler_publisher" {
  for_each = toset(module.topology.agent_grants.scheduler_topics)

  topic  = google_pubsub_topic.topic[each.key].id
  role   = "roles/pubsub.publisher"
  member = local.agents.scheduler

  depends_on = [google_cloud_scheduler_job.schedule]
}
