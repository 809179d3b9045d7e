# MLflow: a server on Cloud Run with a Postgres database, or none. The database is the one part of
# Millrace that costs while nothing happens. Nothing here has a password: Cloud SQL takes tokens of the
# service account, so there is none in the state, in an output or in Secret Manager.
#
#   apply -> the account is made a member of the database's owner (output `after_apply`)
#         -> the job makes or migrates the tables -> the server, which said 503 until then, answers

locals {
  mlflow          = var.mlflow == "server" ? 1 : 0
  mlflow_instance = var.mlflow == "server" ? var.mlflow_instance : ""
  # Train writes artifacts there itself, and the server reads them to show them.
  mlflow_artifacts = "mlflow"

  # Two stores in one process, each with a pool: (4 + 1) x 2 of the 25 connections of the smallest
  # tier. The server of the next revision may be up at the same time, and the job takes two.
  mlflow_server_env = {
    DATABASE_AUTH                       = "google"
    MLFLOW_BACKEND_STORE_URI            = one([for user in google_sql_user.mlflow : "postgresql+psycopg2://${urlencode(user.name)}@/${google_sql_database.mlflow[0].name}?host=/cloudsql/${google_sql_database_instance.mlflow[0].connection_name}"])
    MLFLOW_DEFAULT_ARTIFACT_ROOT        = "gs://${local.buckets["lake"]}/${local.mlflow_artifacts}"
    MLFLOW_SERVER_ALLOWED_HOSTS         = trimprefix(local.urls["mlflow"], "https://")
    MLFLOW_SERVER_CORS_ALLOWED_ORIGINS  = local.urls["mlflow"]
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION  = "false"
    MLFLOW_SQLALCHEMYSTORE_POOL_SIZE    = "4"
    MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW = "1"
    MLFLOW_SQLALCHEMYSTORE_POOL_RECYCLE = "1800"
    MLFLOW_DISABLE_TELEMETRY            = "true"
  }
}

# --- who it is -------------------------------------------------------------------------------------
# What it reads of the lake, and who may call it, are edges of the topology (iam.tf).

# Cloud SQL has grants on projects only; the condition makes them grants on this instance.
resource "google_project_iam_member" "mlflow_database" {
  for_each = var.mlflow == "server" ? toset(["roles/cloudsql.client", "roles/cloudsql.instanceUser"]) : []

  project = var.project
  role    = each.key
  member  = google_service_account.identity["mlflow"].member
  condition {
    title      = "MLflow's database"
    expression = "resource.name == \"projects/${var.project}/instances/${var.mlflow_instance}\" && resource.type == \"sqladmin.googleapis.com/Instance\""
  }
}

# --- the database ----------------------------------------------------------------------------------

resource "google_sql_database_instance" "mlflow" {
  count = local.mlflow

  # Google may keep the name of a deleted instance for a week: take another one then.
  name                = var.mlflow_instance
  region              = var.region
  database_version    = "POSTGRES_16"
  deletion_protection = var.deletion_protection

  settings {
    tier = var.mlflow_tier
    # From Postgres 16 on the default edition has no small machines.
    edition                     = "ENTERPRISE"
    availability_type           = "ZONAL"
    disk_type                   = "PD_SSD"
    disk_size                   = 10
    disk_autoresize             = true
    disk_autoresize_limit       = 50
    deletion_protection_enabled = var.deletion_protection
    user_labels                 = local.labels

    database_flags {
      name  = "cloudsql.iam_authentication"
      value = "on"
    }

    # A public address that no network may reach: only Google's own connector, which asks IAM. A
    # private one would need a VPC, which nothing else here needs.
    ip_configuration {
      ipv4_enabled = true
      ssl_mode     = "ENCRYPTED_ONLY"
    }

    backup_configuration {
      enabled                        = true
      start_time                     = "02:00"
      location                       = var.region
      point_in_time_recovery_enabled = true
      transaction_log_retention_days = 7
      backup_retention_settings {
        retained_backups = 7
        retention_unit   = "COUNT"
      }
    }

    maintenance_window {
      day          = 7
      hour         = 3
      update_track = "stable"
    }
  }

  lifecycle {
    # It grows by itself.
    ignore_changes = [settings[0].disk_size]
  }
}

# Neither can be dropped while the tables are there; both go with the instance.
resource "google_sql_database" "mlflow" {
  count = local.mlflow

  name            = "mlflow"
  instance        = google_sql_database_instance.mlflow[0].name
  deletion_policy = "ABANDON"
}

resource "google_sql_user" "mlflow" {
  count = local.mlflow

  # As Postgres has it: without the ending.
  name            = trimsuffix(google_service_account.identity["mlflow"].email, ".gserviceaccount.com")
  instance        = google_sql_database_instance.mlflow[0].name
  type            = "CLOUD_IAM_SERVICE_ACCOUNT"
  deletion_policy = "ABANDON"
}

# --- the job and the server ------------------------------------------------------------------------

resource "google_cloud_run_v2_job" "mlflow_database" {
  count = local.mlflow

  name                = "mlflow-database"
  location            = var.region
  deletion_protection = false

  template {
    task_count = 1
    template {
      service_account = google_service_account.identity["mlflow"].email
      timeout         = "3600s"
      # A migration that failed is looked at, not tried again.
      max_retries = 0

      containers {
        image   = var.images["mlflow"]
        command = ["python"]
        args    = ["main.py", "upgrade"]

        resources {
          limits = { cpu = "1", memory = "1Gi" }
        }

        volume_mounts {
          name       = "cloudsql"
          mount_path = "/cloudsql"
        }

        dynamic "env" {
          for_each = local.mlflow_server_env
          content {
            name  = env.key
            value = env.value
          }
        }
      }

      volumes {
        name = "cloudsql"
        cloud_sql_instance {
          instances = [google_sql_database_instance.mlflow[0].connection_name]
        }
      }
    }
  }

  lifecycle {
    ignore_changes = [client, client_version]
  }

  depends_on = [google_project_iam_member.mlflow_database]
}

resource "google_cloud_run_v2_service" "mlflow" {
  count = local.mlflow

  name                = "mlflow"
  location            = var.region
  description         = "the MLflow tracking server and model registry"
  ingress             = "INGRESS_TRAFFIC_ALL"
  deletion_protection = false # what it knows is in the database

  template {
    service_account                  = google_service_account.identity["mlflow"].email
    timeout                          = "120s"
    max_instance_request_concurrency = 20

    scaling {
      min_instance_count = 0
      # Pools of more instances would be more connections than a small database has.
      max_instance_count = 1
    }

    containers {
      image = var.images["mlflow"]

      ports {
        container_port = 8080
      }

      resources {
        limits            = { cpu = "1", memory = "1Gi" }
        cpu_idle          = true
        startup_cpu_boost = true
      }

      # Alive also while the tables are not there: else the first apply would fail, which makes them.
      startup_probe {
        http_get {
          path = "/health"
          port = 8080
        }
        period_seconds    = 2
        timeout_seconds   = 2
        failure_threshold = 90
      }

      volume_mounts {
        name       = "cloudsql"
        mount_path = "/cloudsql"
      }

      dynamic "env" {
        for_each = local.mlflow_server_env
        content {
          name  = env.key
          value = env.value
        }
      }
    }

    volumes {
      name = "cloudsql"
      cloud_sql_instance {
        instances = [google_sql_database_instance.mlflow[0].connection_name]
      }
    }
  }

  lifecycle {
    ignore_changes = [client, client_version]
  }

  depends_on = [google_project_iam_member.mlflow_database]
}

output "after_apply" {
  description = "Commands to run after each apply, in this order; a repeat changes nothing. `./millrace deploy` does."
  value = var.mlflow == "server" ? [
    "gcloud sql users assign-roles ${google_sql_user.mlflow[0].name} --project ${var.project} --instance ${google_sql_database_instance.mlflow[0].name} --type CLOUD_IAM_SERVICE_ACCOUNT --database-roles cloudsqlsuperuser --quiet",
    "gcloud run jobs execute ${google_cloud_run_v2_job.mlflow_database[0].name} --project ${var.project} --region ${var.region} --wait",
  ] : []
}
