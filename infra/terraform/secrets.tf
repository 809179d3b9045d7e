# Containers only: a value never passes through Terraform, so none is in its state. How one gets in:
# README.md.

locals {
  secrets = distinct(flatten([for part in values(merge(module.topology.functions, module.topology.services)) : part.secrets]))
}

resource "google_secret_manager_secret" "secret" {
  for_each = toset(local.secrets)

  secret_id = "millrace-${each.key}"

  # Where everything else is; `auto` would be anywhere.
  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }
  deletion_protection = var.deletion_protection
}
