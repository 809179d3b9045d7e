# --- where -----------------------------------------------------------------------------------------

variable "project" {
  description = "Google Cloud project id. One installation per project: names of resources are fixed."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "A project id has 6 to 30 lower-case letters, digits and hyphens, and starts with a letter."
  }
}

variable "region" {
  description = "Region of everything: functions, jobs, buckets, topics' storage, Scheduler."
  type        = string
  default     = "europe-west1"
  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "A region looks like europe-west1."
  }
}

variable "environment" {
  description = "dev, staging or prod: a label, and what `./millrace` asks before it changes something."
  type        = string
  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "The environment is dev, staging or prod."
  }
}

variable "context" {
  description = "How people's command lines call this installation (`./millrace --context NAME`), for lines to type in messages; empty is the environment."
  type        = string
  default     = ""
  validation {
    condition     = can(regex("^([a-z][a-z0-9-]{0,30})?$", var.context)) && !contains(["local", "demo"], var.context)
    error_message = "Up to 31 lower-case letters, digits and hyphens, starting with a letter; local and demo are stacks on one's own machine."
  }
}

# --- what is deployed ------------------------------------------------------------------------------

variable "bundles" {
  description = "Zip and content hash of every function, as `infra.bundle` makes them: { intake = { path, hash } }."
  type        = map(object({ path = string, hash = string }))
  validation {
    condition     = length(setsubtract(keys(module.topology.functions), keys(var.bundles))) == 0
    error_message = "There is no bundle of: ${join(", ", setsubtract(keys(module.topology.functions), keys(var.bundles)))}."
  }
  validation {
    condition     = alltrue([for bundle in values(var.bundles) : can(regex("^[0-9a-f]{12,64}$", bundle.hash))])
    error_message = "A bundle's hash is hexadecimal, at least 12 digits."
  }
}

variable "images" {
  description = "Image of every service and job (predict, train, score, label), and of mlflow where its server runs."
  type        = map(string)
  validation {
    condition     = alltrue([for image in values(var.images) : can(regex("@sha256:[0-9a-f]{64}$", image))])
    error_message = "Name images by digest (...@sha256:...): a tag may mean something else tomorrow."
  }
  validation {
    condition = length(setsubtract(
      concat(keys(module.topology.services), keys(module.topology.jobs), var.mlflow == "server" ? ["mlflow"] : []),
      keys(var.images),
    )) == 0
    error_message = "Needed are the images of all services and jobs, and of mlflow where `mlflow = \"server\"`."
  }
}

variable "code_version" {
  description = "Commit of what is deployed; run histories show it."
  type        = string
  default     = ""
}

variable "secret_versions" {
  description = "Version of each secret that functions are given, e.g. { slack-webhook-url = \"1\" }. A secret without one is not given to anybody, which switches off what needs it."
  type        = map(string)
  default     = {}
  validation {
    # `latest` would be read once per instance, so two instances could differ after a rotation.
    condition     = alltrue([for version in values(var.secret_versions) : can(regex("^[1-9][0-9]*$", version))])
    error_message = "A version is a number; pin one instead of `latest`."
  }
  validation {
    condition     = length(setsubtract(keys(var.secret_versions), local.secrets)) == 0
    error_message = "No function asks for the secret: ${join(", ", setsubtract(keys(var.secret_versions), local.secrets))}."
  }
}

# --- how it runs -----------------------------------------------------------------------------------

variable "predict_min_instances" {
  description = "Predictors that are kept while nobody asks. 0 costs nothing and a cold start, 1 about 10 USD a month."
  type        = number
  default     = 0
  validation {
    condition     = var.predict_min_instances >= 0 && floor(var.predict_min_instances) == var.predict_min_instances
    error_message = "A whole number, 0 or more."
  }
}

variable "predict_max_instances" {
  description = "Most predictors at once; null is what infra/topology.yaml says."
  type        = number
  default     = null
  validation {
    condition     = var.predict_max_instances == null ? true : var.predict_max_instances >= max(1, var.predict_min_instances)
    error_message = "At least 1, and not below predict_min_instances."
  }
}

variable "predict_p99_ms" {
  description = "Alert when the slowest hundredth of predictions takes longer for a quarter of an hour. Cold starts count: below 2500 only with predict_min_instances."
  type        = number
  default     = 2500
  validation {
    condition     = var.predict_p99_ms > 0
    error_message = "Milliseconds, above 0."
  }
}

variable "predict_ingress" {
  description = "Who reaches the predictor's front door (its lock is IAM): INGRESS_TRAFFIC_ALL, or _INTERNAL_ONLY, or _INTERNAL_LOAD_BALANCER."
  type        = string
  default     = "INGRESS_TRAFFIC_ALL"
  validation {
    condition     = contains(["INGRESS_TRAFFIC_ALL", "INGRESS_TRAFFIC_INTERNAL_ONLY", "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"], var.predict_ingress)
    error_message = "INGRESS_TRAFFIC_ALL, INGRESS_TRAFFIC_INTERNAL_ONLY or INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER."
  }
}

variable "function_ingress" {
  description = "Who reaches functions that only Pub/Sub calls. ALLOW_INTERNAL_ONLY also shuts out `dead-letters replay` from a laptop. A function with a `path` in the topology is called by people and takes everybody whom IAM lets in."
  type        = string
  default     = "ALLOW_ALL"
  validation {
    condition     = contains(["ALLOW_ALL", "ALLOW_INTERNAL_ONLY"], var.function_ingress)
    error_message = "ALLOW_ALL or ALLOW_INTERNAL_ONLY."
  }
}

variable "schedules_paused" {
  description = "Stops what Cloud Scheduler starts (sweep, monitor, digest), for maintenance."
  type        = bool
  default     = false
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete what cannot be made again: buckets with objects, the predictor, jobs, secrets, the database."
  type        = bool
  default     = true
}

# --- MLflow and Vertex AI --------------------------------------------------------------------------

variable "mlflow" {
  description = "server: MLflow on Cloud Run with a Postgres database (the one part with an idle cost); off: none."
  type        = string
  default     = "off"
  validation {
    condition     = contains(["server", "off"], var.mlflow)
    error_message = "server or off."
  }
}

variable "mlflow_instance" {
  description = "Name of MLflow's database instance. Google may keep the name of a deleted one for a week."
  type        = string
  default     = "millrace-mlflow"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,78}[a-z0-9]$", var.mlflow_instance))
    error_message = "Lower-case letters, digits and hyphens, a letter first."
  }
}

variable "mlflow_tier" {
  description = "Machine of MLflow's database: db-f1-micro (about 8 USD a month, no SLA), db-g1-small, or db-custom-CPUS-MEGABYTES."
  type        = string
  default     = "db-f1-micro"
  validation {
    condition     = can(regex("^db-(f1-micro|g1-small|custom-[0-9]+-[0-9]+)$", var.mlflow_tier))
    error_message = "db-f1-micro, db-g1-small or db-custom-CPUS-MEGABYTES."
  }
}

variable "vertex_registry" {
  description = "Whether versions are mirrored to Vertex AI's Model Registry."
  type        = bool
  default     = false
}

# --- people ----------------------------------------------------------------------------------------

variable "docs_url" {
  description = "Where infra/docs can be read, for links from messages to the runbook."
  type        = string
  default     = ""
  validation {
    condition     = var.docs_url == "" || startswith(var.docs_url, "https://")
    error_message = "An https:// address, or nothing."
  }
}

variable "console_url" {
  description = "Where the console answers, for links in messages."
  type        = string
  default     = ""
}

variable "mail" {
  description = "Mail beside Slack, by a relay; its password is the secret smtp-password. An empty host switches it off."
  type = object({
    host     = optional(string, "")
    port     = optional(number, 587)
    user     = optional(string, "")
    security = optional(string, "starttls")
    from     = optional(string, "")
    to       = optional(list(string), [])
  })
  default = {}
  validation {
    condition     = contains(["starttls", "tls"], var.mail.security)
    error_message = "starttls or tls: nothing leaves the cloud unencrypted."
  }
  validation {
    condition     = var.mail.host == "" || (var.mail.from != "" && length(var.mail.to) > 0)
    error_message = "Mail needs `from` and at least one address in `to`."
  }
  validation {
    # Google Cloud blocks port 25 outwards.
    condition     = var.mail.port != 25
    error_message = "Google Cloud lets nothing out on port 25; use 587 or 465."
  }
}

variable "alert_emails" {
  description = "Who gets Cloud Monitoring's alerts about the machinery and the budget."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for address in var.alert_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))])
    error_message = "Each one an e-mail address."
  }
}

variable "billing_account" {
  description = "Billing account (XXXXXX-XXXXXX-XXXXXX) for the budget; empty makes none."
  type        = string
  default     = ""
}

variable "budget_amount" {
  description = "Monthly budget in the billing account's currency, whole units. It warns, it stops nothing."
  type        = number
  default     = 50
  validation {
    condition     = var.budget_amount > 0 && floor(var.budget_amount) == var.budget_amount
    error_message = "A whole number above 0."
  }
}

variable "people" {
  description = "Who has which role of people (infra/docs/access.md): role -> members, as in { deciders = [\"group:ml@example.com\"] }. Nobody has one that is left out."
  type        = map(list(string))
  default     = {}
  validation {
    condition     = length(setsubtract(keys(var.people), keys(module.topology.people))) == 0
    error_message = "The roles of people are those under `people` in infra/topology.yaml."
  }
  validation {
    condition     = alltrue([for member in flatten(values(var.people)) : can(regex("^(user|group|domain|serviceAccount|principal|principalSet):[^\\s]+$", member))])
    error_message = "Members look like group:ml@example.com or user:ada@example.com; nobody is `allUsers`."
  }
}

variable "deployers" {
  description = "Members that apply this without owning the project, as in [\"serviceAccount:deploy@project.iam.gserviceaccount.com\"]: they may give the parts' accounts to the parts."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for member in var.deployers : can(regex("^(user|group|serviceAccount|principal|principalSet):[^\\s]+$", member))])
    error_message = "Members look like serviceAccount:deploy@project.iam.gserviceaccount.com."
  }
}
