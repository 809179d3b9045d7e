# Named as in the installation, so that both are applied with the same file in ../environments. Terraform
# warns of the values there that nobody asks for here.

variable "project" {
  description = "Google Cloud project id."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "A project id has 6 to 30 lower-case letters, digits and hyphens, and starts with a letter."
  }
}

variable "region" {
  description = "Region of the repositories and of the bucket with bundles."
  type        = string
  default     = "europe-west1"
  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "A region looks like europe-west1."
  }
}

variable "environment" {
  description = "dev, staging or prod: a label."
  type        = string
  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "The environment is dev, staging or prod."
  }
}

variable "mlflow" {
  description = "server needs Cloud SQL's API."
  type        = string
  default     = "off"
  validation {
    condition     = contains(["server", "off"], var.mlflow)
    error_message = "server or off."
  }
}

variable "vertex_registry" {
  description = "true needs Vertex AI's API."
  type        = bool
  default     = false
}

variable "billing_account" {
  description = "With one there is a budget, which needs its API."
  type        = string
  default     = ""
}

variable "deletion_protection" {
  description = "Whether the bucket with bundles stays as long as something is in it."
  type        = bool
  default     = true
}
