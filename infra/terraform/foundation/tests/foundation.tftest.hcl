# What is applied first, planned against providers that make nothing.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
}

mock_provider "time" {}

variables {
  project     = "some-project"
  environment = "dev"
}

run "small" {
  command = apply

  assert {
    condition     = alltrue([for service in values(google_project_service.service) : !service.disable_on_destroy])
    error_message = "Taking this down would switch off an API that others may use."
  }

  assert {
    condition     = length(setintersection(["sqladmin.googleapis.com", "aiplatform.googleapis.com", "billingbudgets.googleapis.com"], keys(google_project_service.service))) == 0
    error_message = "An API is switched on that nothing uses."
  }

  assert {
    condition     = output.foundation.images == "europe-west1-docker.pkg.dev/some-project/millrace"
    error_message = "Images go elsewhere than the installation looks for them."
  }
}

run "everything" {
  command = plan
  variables {
    mlflow          = "server"
    vertex_registry = true
    billing_account = "000000-000000-000000"
  }

  assert {
    condition     = length(setsubtract(["sqladmin.googleapis.com", "aiplatform.googleapis.com", "billingbudgets.googleapis.com"], keys(google_project_service.service))) == 0
    error_message = "An API that is needed is not switched on."
  }
}
