variable "topology" {
  description = "The outputs of the module `topology`."
  type        = any
}

variable "project" {
  type = string
}

variable "runbook" {
  description = "Address of infra/docs/runbook.md; empty where the documentation is not on the web."
  type        = string
}

variable "schedules_paused" {
  description = "Nothing sweeps on purpose."
  type        = bool
}

variable "mlflow_instance" {
  description = "Name of MLflow's database instance; empty without one."
  type        = string
}

variable "predict_p99_ms" {
  description = "A predictor whose slowest hundredth takes longer is worth a look."
  type        = number
}
