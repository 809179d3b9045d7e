terraform {
  required_version = ">= 1.9"

  # The bucket comes with `terraform init -backend-config=bucket=<project>-millrace-state`;
  # `./millrace deploy` makes it first.
  backend "gcs" {
    prefix = "installation"
  }

  required_providers {
    google = {
      source = "hashicorp/google"
      # Checked against 6.50 and the 7.x documentation: what 7 and 8 tighten is stated, what only
      # 7 knows is not used.
      version = ">= 6.50, < 8"
    }
    time = {
      source  = "hashicorp/time"
      version = ">= 0.12, < 1"
    }
  }
}

provider "google" {
  project        = var.project
  region         = var.region
  default_labels = local.labels
}
