terraform {
  required_version = ">= 1.9"

  # The same bucket as the installation's state, which `./millrace deploy` makes first.
  backend "gcs" {
    prefix = "foundation"
  }

  required_providers {
    google = {
      source  = "hashicorp/google"
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
  default_labels = { app = "millrace", environment = var.environment }
}
