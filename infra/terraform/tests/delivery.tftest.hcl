# Builds: nothing without a repository; with one, only an approved build may change anything.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
  mock_data "google_storage_project_service_account" {
    defaults = { member = "serviceAccount:service-123456789012@gs-project-accounts.iam.gserviceaccount.com" }
  }
}

variables {
  project              = "some-project"
  region               = "europe-west1"
  environment          = "dev"
  connected_repository = "projects/some-project/locations/europe-west1/connections/c/repositories/r"
  github_repository    = "someone/millrace"
  github_pool          = "another-pool"
  branch               = "main"
  approvers            = ["group:release@example.com"]
  inbox                = "some-project-millrace-inbox"
  lake                 = "some-project-millrace-lake"
  predictor            = "predict"
  mlflow               = false
}

run "off" {
  command = plan
  module {
    source = "./delivery"
  }
  variables {
    connected_repository = ""
    github_repository    = ""
  }

  assert {
    condition = (
      length(google_service_account.identity) == 0 &&
      length(google_cloudbuild_trigger.trigger) == 0 &&
      length(google_iam_workload_identity_pool.github) == 0 &&
      length(google_project_iam_member.grant) == 0 &&
      length(google_project_iam_member.approver) == 0 &&
      length(google_storage_bucket_iam_member.prefix) == 0 &&
      length(google_storage_bucket_iam_member.listing) == 0 &&
      length(google_service_account_iam_member.being) == 0
    )
    error_message = "Something of the builds is there although no repository is named."
  }
}

run "connected" {
  command = apply
  module {
    source = "./delivery"
  }
  variables {
    github_repository = ""
  }

  assert {
    condition     = [for name, trigger in google_cloudbuild_trigger.trigger : name if trigger.approval_config[0].approval_required] == ["apply"]
    error_message = "Exactly the apply build waits for an approval."
  }

  assert {
    condition     = [for name, trigger in google_cloudbuild_trigger.trigger : name if length(trigger.repository_event_config[0].pull_request) > 0] == ["check"]
    error_message = "Pull requests start the check alone, which may do nothing."
  }

  assert {
    condition = (
      [for name, grant in google_project_iam_member.grant : grant.role if startswith(name, "check ")] == ["roles/logging.logWriter"] &&
      length([for grant in local.prefix_grants : grant if grant.who == "check"]) == 0 &&
      length([for grant in local.listing_grants : grant if grant.who == "check"]) == 0 &&
      length([for grant in local.account_grants : grant if grant.who == "check"]) == 0
    )
    error_message = "A pull request's build may do more than log."
  }

  assert {
    condition     = google_storage_bucket_iam_member.prefix["specs inbox"].condition[0].expression == "resource.name.startsWith(\"projects/_/buckets/some-project-millrace-inbox/objects/_specs/\")"
    error_message = "Who drops specs may write elsewhere."
  }

  assert {
    condition     = length(google_iam_workload_identity_pool.github) == 0
    error_message = "Without a repository on GitHub nobody there is let in."
  }
}

run "github" {
  command = apply
  module {
    source = "./delivery"
  }
  variables {
    connected_repository = ""
  }

  assert {
    condition = (
      google_iam_workload_identity_pool_provider.github[0].attribute_condition == "assertion.repository == 'someone/millrace' && assertion.event_name == 'pull_request'" &&
      endswith(google_service_account_iam_member.github[0].member, "/attribute.repository/someone/millrace")
    )
    error_message = "Workflows of another repository would be let in."
  }

  assert {
    condition     = google_iam_workload_identity_pool.github[0].workload_identity_pool_id == "another-pool"
    error_message = "Google keeps a deleted pool's id for a month, so whoever installs again must name another."
  }

  assert {
    condition     = [for key, _ in google_service_account.identity : key] == ["review"] && length(google_project_iam_member.grant) == 0
    error_message = "GitHub's identity is more than a reader of documents."
  }
}
