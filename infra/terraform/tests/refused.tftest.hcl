# Mistakes that a plan tells at once, by name.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
  mock_data "google_storage_project_service_account" {
    defaults = { member = "serviceAccount:service-123456789012@gs-project-accounts.iam.gserviceaccount.com" }
  }
}

mock_provider "google" {
  alias = "quota"
}

mock_provider "time" {}

variables {
  project = "some-project"
  images = {
    for name in concat(
      keys(yamldecode(file("../topology.yaml")).services),
      keys(yamldecode(file("../topology.yaml")).jobs),
      ["mlflow"],
    ) :
    name => "europe-west1-docker.pkg.dev/some-project/millrace/${name}@sha256:${sha256(name)}"
  }
  bundles = {
    for name in keys(yamldecode(file("../topology.yaml")).functions) :
    name => { path = "bundles/${name}.zip", hash = substr(sha256(name), 0, 12) }
  }
}

run "a_tag_is_no_image" {
  command = plan
  variables {
    images = { predict = "p:latest", train = "t:latest", score = "s:latest", label = "l:latest", mlflow = "m:latest" }
  }
  expect_failures = [var.images]
}

run "a_bundle_is_missing" {
  command = plan
  variables {
    bundles = {}
  }
  expect_failures = [var.bundles]
}

run "latest_is_no_version" {
  command = plan
  variables {
    secret_versions = { slack-webhook-url = "latest" }
  }
  expect_failures = [var.secret_versions]
}

run "nobody_asks_for_that_secret" {
  command = plan
  variables {
    secret_versions = { slack-webhook = "1" }
  }
  expect_failures = [var.secret_versions]
}

run "mail_needs_people" {
  command = plan
  variables {
    mail = { host = "smtp.example.com" }
  }
  expect_failures = [var.mail]
}

run "a_role_of_people_that_is_none" {
  command = plan
  variables {
    people = { admins = ["group:a@example.com"] }
  }
  expect_failures = [var.people]
}

run "everybody_is_nobody" {
  command = plan
  variables {
    people = { callers = ["allUsers"] }
  }
  expect_failures = [var.people]
}
