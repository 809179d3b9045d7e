variable "project" {
  description = "Google Cloud project id."
  type        = string
}

variable "region" {
  description = "Where builds run, which is where the repository is connected."
  type        = string
}

variable "environment" {
  description = "Which of ../environments the builds deploy."
  type        = string
}

variable "connected_repository" {
  description = "As in the root."
  type        = string
}

variable "github_repository" {
  description = "As in the root."
  type        = string
}

variable "github_pool" {
  description = "As in the root."
  type        = string
}

variable "branch" {
  description = "As in the root."
  type        = string
}

variable "approvers" {
  description = "As in the root."
  type        = list(string)
}

variable "inbox" {
  description = "Name of the bucket that specs are dropped into."
  type        = string
}

variable "lake" {
  description = "Name of the bucket that knows which spec is in force."
  type        = string
}

variable "predictor" {
  description = "Name of the service whose traffic the build moves."
  type        = string
}

variable "mlflow" {
  description = "Whether there is a database to read and change."
  type        = bool
}
