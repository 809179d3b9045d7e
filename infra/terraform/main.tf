# What all files share: the topology, names that are known before anything exists, and the environment
# of the deployed parts.

module "topology" {
  source = "./topology"

  bucket_prefix = "${var.project}-millrace-"
}

data "google_project" "this" {
  project_id = var.project
}

locals {
  labels = { app = "millrace", environment = var.environment }

  buckets = { for key in keys(module.topology.buckets) : key => "${var.project}-millrace-${key}" }

  # Cloud Run knows a service's address before the service exists, so parts can name each other
  # without a cycle: https://cloud.google.com/run/docs/triggering/https-request#deterministic
  urls = {
    for name in concat(keys(module.topology.functions), keys(module.topology.services), ["mlflow"]) :
    name => "https://${name}-${data.google_project.this.number}.${var.region}.run.app"
  }
  mlflow_url = var.mlflow == "server" ? local.urls["mlflow"] : ""

  # Made by foundation/, which is applied before; see there.
  foundation = {
    bundles         = "${var.project}-millrace-bundles"
    function_images = "projects/${var.project}/locations/${var.region}/repositories/millrace-functions"
    build           = "projects/${var.project}/serviceAccounts/mr-build@${var.project}.iam.gserviceaccount.com"
  }

  # Names and meaning: shared/config.py and .env.example. Empty means the same as left out, so those
  # are left out: a plan shows only what is set.
  env = { for name, value in local.settings : name => value if value != "" }
  settings = {
    GOOGLE_CLOUD_PROJECT       = var.project
    MILLRACE_PROJECT           = var.project
    MILLRACE_REGION            = var.region
    MILLRACE_CONTEXT           = coalesce(var.context, var.environment)
    MILLRACE_INBOX             = local.buckets["inbox"]
    MILLRACE_LAKE              = local.buckets["lake"]
    MILLRACE_IDENTITY          = "token"
    MILLRACE_CLAIM_SECONDS     = tostring(module.topology.claim_seconds)
    MILLRACE_SPEC_WAIT_SECONDS = tostring(module.topology.spec_wait_seconds)
    MILLRACE_SCORE_TASK_MIB    = tostring(module.topology.jobs["score"].task_mib)
    MILLRACE_SCORE_MAX_TASKS   = tostring(module.topology.jobs["score"].max_tasks)
    MILLRACE_PREDICT_URL       = local.urls["predict"]
    MILLRACE_PROMOTE_URL       = local.urls["promote"]
    MILLRACE_CONSOLE_URL       = var.console_url
    MILLRACE_DOCS_URL          = var.docs_url
    MILLRACE_CODE_VERSION      = var.code_version
    MILLRACE_VERTEX_REGISTRY   = var.vertex_registry ? "on" : "off"
    MILLRACE_PREDICT_IMAGE     = var.vertex_registry ? var.images["predict"] : ""
    MILLRACE_MAIL_FROM         = var.mail.from
    MILLRACE_MAIL_TO           = join(",", var.mail.to)
    SMTP_HOST                  = var.mail.host
    SMTP_PORT                  = tostring(var.mail.port)
    SMTP_USER                  = var.mail.user
    SMTP_SECURITY              = var.mail.security
    MLFLOW_TRACKING_URI        = local.mlflow_url
    MLFLOW_TRACKING_AUTH       = var.mlflow == "server" ? "google" : ""
    MLFLOW_DISABLE_TELEMETRY   = "true"
    DO_NOT_TRACK               = "true"
  }
}

# Rights take a while until Google's parts believe them, and service agents until they exist: what
# needs either waits here instead of failing in the first apply.
resource "time_sleep" "service_agents" {
  create_duration = "60s"
  depends_on      = [google_pubsub_topic.topic]
}

resource "time_sleep" "grants" {
  create_duration = "60s"
  # Once more for every right that comes later: a function with a secret it may not read yet would not
  # start.
  triggers = {
    grants = sha256(jsonencode([for kind in ["bucket", "topic", "secret"] : keys(local.grants[kind])]))
  }
  depends_on = [
    google_pubsub_topic_iam_member.storage_agent,
    google_storage_bucket_iam_member.export_writer,
    google_storage_bucket_iam_member.access,
    google_pubsub_topic_iam_member.publisher,
    google_secret_manager_secret_iam_member.reader,
    google_service_account_iam_member.deployer,
  ]
}
