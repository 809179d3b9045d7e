# Who builds, plans and applies, and what starts them. Nothing of it is there until a repository is
# named. infra/docs/delivery.md has the way from a pull request to traffic.
#
#   pull request --> check                                             (as check: may log)
#   main         --> check, images, plan of Terraform to the bucket    (as plan: reads, pushes images)
#                --> apply that plan, smoke, traffic step by step      (as apply: once a person approved)
#
# Code of a pull request runs before anybody has read it: what it runs as can neither read data nor
# change anything. Only apply may change the installation, and it starts from main alone.

locals {
  connected = var.connected_repository != ""
  github    = var.github_repository != ""

  identities = merge(
    local.connected ? {
      check = "checks pull requests: may log, nothing else"
      plan  = "builds images and plans from main: reads, changes nothing that runs"
      apply = "applies an approved plan"
      specs = "drops the specs of main into the inbox, and writes nowhere else"
    } : {},
    local.github ? {
      review = "says in a pull request what its specs would do"
    } : {},
  )

  bundles = "${var.project}-millrace-bundles"
  state   = "${var.project}-millrace-state"
}

resource "google_service_account" "identity" {
  for_each = local.identities

  account_id   = "mr-ci-${each.key}"
  display_name = "Millrace delivery: ${each.key}"
  description  = each.value
}

# --- what starts builds ----------------------------------------------------------------------------

locals {
  settings = { _ENVIRONMENT = var.environment, _REGION = var.region }

  triggers = local.connected ? {
    check = { file = "cloudbuild.yaml", pull_request = true, approval = false, more = { _DELIVER = "no" } }
    plan  = { file = "cloudbuild.yaml", pull_request = false, approval = false, more = { _DELIVER = "yes" } }
    apply = { file = "infra/cloudbuild.apply.yaml", pull_request = false, approval = true, more = {} }
  } : {}
}

resource "google_cloudbuild_trigger" "trigger" {
  for_each = local.triggers

  name            = "millrace-${each.key}"
  location        = var.region
  description     = local.identities[each.key]
  filename        = each.value.file
  service_account = google_service_account.identity[each.key].id
  substitutions   = merge(local.settings, each.value.more)
  # With the status: whoever reads a pull request sees why it is red.
  include_build_logs = each.value.pull_request ? "INCLUDE_BUILD_LOGS_WITH_STATUS" : null

  repository_event_config {
    repository = var.connected_repository

    dynamic "pull_request" {
      for_each = each.value.pull_request ? [var.branch] : []
      content {
        branch = "^${pull_request.value}$"
        # A stranger's code runs once somebody of ours wrote /gcbrun.
        comment_control = "COMMENTS_ENABLED_FOR_EXTERNAL_CONTRIBUTORS_ONLY"
      }
    }

    dynamic "push" {
      for_each = each.value.pull_request ? [] : [var.branch]
      content {
        branch = "^${push.value}$"
      }
    }
  }

  approval_config {
    approval_required = each.value.approval
  }
}

# --- GitHub's own runners, without a key -----------------------------------------------------------

resource "google_iam_workload_identity_pool" "github" {
  count = local.github ? 1 : 0

  # A deleted pool's id is taken for 30 days: use another one then.
  workload_identity_pool_id = var.github_pool
  display_name              = "Millrace on GitHub"
  description               = "Workflows of ${var.github_repository}"
}

resource "google_iam_workload_identity_pool_provider" "github" {
  count = local.github ? 1 : 0

  workload_identity_pool_id          = google_iam_workload_identity_pool.github[0].workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  display_name                       = "GitHub Actions"

  # Tokens of every workflow on GitHub come from this issuer; ours are those of one repository's pull
  # requests (a fork's workflow gets no token). Not by `sub`, whose form a repository may choose.
  attribute_condition = "assertion.repository == '${var.github_repository}' && assertion.event_name == 'pull_request'"
  attribute_mapping = {
    "google.subject"       = "assertion.sub"
    "attribute.repository" = "assertion.repository"
  }
  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}
