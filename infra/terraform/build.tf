# Builds on Google Cloud and on GitHub: off until a repository is named. See delivery/.

variable "connected_repository" {
  description = "Repository that Cloud Build is connected to, whose pushes build: projects/P/locations/REGION/connections/C/repositories/R. Empty: no triggers."
  type        = string
  default     = ""
  validation {
    condition     = var.connected_repository == "" || can(regex("^projects/[^/]+/locations/[^/]+/connections/[^/]+/repositories/[^/]+$", var.connected_repository))
    error_message = "A connected repository looks like projects/P/locations/REGION/connections/C/repositories/R (gcloud builds repositories list)."
  }
  validation {
    condition     = var.connected_repository == "" || strcontains(var.connected_repository, "/locations/${var.region}/")
    error_message = "Triggers are where the repository is connected, which must be the installation's region."
  }
}

variable "github_repository" {
  description = "OWNER/NAME whose workflows may ask this installation what a spec would do. Empty: none."
  type        = string
  default     = ""
  validation {
    # It becomes part of a condition, so nothing in it may end a string there.
    condition     = var.github_repository == "" || can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "A repository on GitHub looks like OWNER/NAME."
  }
}

variable "github_pool" {
  description = "Id of the workload identity pool for GitHub's workflows. Google keeps that of a deleted pool for 30 days."
  type        = string
  default     = "millrace-github"
  validation {
    condition     = can(regex("^[a-z0-9-]{4,32}$", var.github_pool)) && !startswith(var.github_pool, "gcp-")
    error_message = "4 to 32 lower-case letters, digits and hyphens, and not gcp-, which is Google's own."
  }
}

variable "release_branch" {
  description = "Branch whose commits are planned and, once approved, applied."
  type        = string
  default     = "main"
  validation {
    # It becomes a regular expression.
    condition     = can(regex("^[A-Za-z0-9/_-]+$", var.release_branch))
    error_message = "A branch's plain name: letters, digits, / _ -."
  }
}

variable "approvers" {
  description = "Who may let an apply build begin, such as group:release@example.com; beside those who have the right already."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for who in var.approvers : can(regex("^(user|group):[^@]+@[^@]+$", who))])
    error_message = "People: user:NAME@DOMAIN or group:NAME@DOMAIN."
  }
}

module "delivery" {
  source = "./delivery"

  project              = var.project
  region               = var.region
  environment          = var.environment
  connected_repository = var.connected_repository
  github_repository    = var.github_repository
  github_pool          = var.github_pool
  branch               = var.release_branch
  approvers            = var.approvers
  inbox                = google_storage_bucket.bucket["inbox"].name
  lake                 = google_storage_bucket.bucket["lake"].name
  mlflow               = var.mlflow == "server"
  predictor            = google_cloud_run_v2_service.service["predict"].name
}

output "delivery" {
  description = "Identities, triggers and the workload identity provider of builds; empty where there are none."
  value       = module.delivery.delivery
}
