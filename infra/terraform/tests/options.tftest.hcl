# What is a choice, on and off: MLflow, Vertex AI's registry, the budget, mail about alerts.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
  mock_data "google_storage_project_service_account" {
    defaults = { member = "serviceAccount:service-123456789012@gs-project-accounts.iam.gserviceaccount.com" }
  }
}

mock_provider "google" {
  alias = "quota"
}

mock_provider "time" {}

variables {
  project = "some-project"
  images = {
    for name in concat(
      keys(yamldecode(file("../topology.yaml")).services),
      keys(yamldecode(file("../topology.yaml")).jobs),
      ["mlflow"],
    ) :
    name => "europe-west1-docker.pkg.dev/some-project/millrace/${name}@sha256:${sha256(name)}"
  }
  bundles = {
    for name in keys(yamldecode(file("../topology.yaml")).functions) :
    name => { path = "bundles/${name}.zip", hash = substr(sha256(name), 0, 12) }
  }
}

run "everything_on" {
  command = apply
  variables {
    mlflow          = "server"
    people          = { analysts = ["group:team@example.com"] }
    vertex_registry = true
    billing_account = "012345-678901-ABCDEF"
    budget_amount   = 70
    alert_emails    = ["a@example.com", "b@example.com"]
    docs_url        = "https://docs.example"
  }

  assert {
    condition = alltrue([
      for policy in values(google_monitoring_alert_policy.policy) :
      length(policy.notification_channels) == 2 && startswith(one(policy.documentation[0].links).url, "https://docs.example/runbook.md#")
    ])
    error_message = "An alert reaches nobody, or does not say what to do."
  }

  assert {
    condition     = toset(keys(google_monitoring_alert_policy.policy)) == toset(["backlog", "dead-letters", "executions", "mlflow-database", "predict-errors", "predict-latency", "sweep"])
    error_message = "A policy is missing."
  }

  assert {
    condition = alltrue([
      for policy in values(google_monitoring_alert_policy.policy) : alltrue([
        for one in policy.conditions : length(one.condition_threshold) + length(one.condition_absent) == 1
      ])
    ])
    error_message = "A condition compares and waits for silence at once, or does neither."
  }

  assert {
    condition     = one(one(google_monitoring_alert_policy.policy["sweep"].conditions).condition_absent).duration == "3600s"
    error_message = "Nobody hears that nothing sweeps."
  }

  assert {
    condition     = google_billing_budget.month[0].amount[0].specified_amount[0].units == "70" && length(google_billing_budget.month[0].threshold_rules) == 4
    error_message = "The budget is another one."
  }

  assert {
    condition     = length(google_sql_database_instance.mlflow[0].settings[0].ip_configuration[0].authorized_networks) == 0 && google_sql_database_instance.mlflow[0].settings[0].backup_configuration[0].enabled
    error_message = "A network may reach MLflow's database, or nobody keeps a copy of it."
  }

  assert {
    condition = alltrue([
      for env in concat(
        tolist(google_cloud_run_v2_service.mlflow[0].template[0].containers[0].env),
        tolist(google_cloud_run_v2_job.mlflow_database[0].template[0].template[0].containers[0].env),
      ) : !can(regex("://[^/]*:[^/]*@", env.value)) && length(env.value_source) == 0
    ])
    error_message = "There is a password."
  }

  # Two stores, two revisions while one follows the other, the job; Postgres keeps three for itself.
  assert {
    condition = (
      (tonumber(local.mlflow_server_env["MLFLOW_SQLALCHEMYSTORE_POOL_SIZE"]) + tonumber(local.mlflow_server_env["MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW"]))
      * 2 * 2 * google_cloud_run_v2_service.mlflow[0].template[0].scaling[0].max_instance_count + 2 <= 25 - 3
    )
    error_message = "MLflow may want more connections than the smallest database has."
  }

  assert {
    condition     = google_cloud_run_v2_job.mlflow_database[0].template[0].template[0].containers[0].args == tolist(["main.py", "upgrade"]) && google_cloud_run_v2_job.mlflow_database[0].template[0].template[0].max_retries == 0
    error_message = "The tables are not migrated by the job, or again and again."
  }

  assert {
    condition     = local.mlflow_server_env["MLFLOW_SERVER_ALLOWED_HOSTS"] == "mlflow-123456789012.europe-west1.run.app"
    error_message = "MLflow would refuse its own address."
  }

  assert {
    condition = toset([
      for key, grant in google_cloud_run_v2_service_iam_member.invoker : key if endswith(split(" ", key)[0], "/mlflow")
    ]) == toset(["mirror/mlflow", "train/mlflow", "people/analysts/mlflow group:team@example.com"])
    error_message = "Somebody else may use MLflow, or a part may not."
  }

  assert {
    condition     = toset(keys(google_project_iam_member.vertex_registry)) == toset(["mirror/vertex", "train/vertex"])
    error_message = "Somebody else may write into Vertex AI's registry, or a part may not."
  }

  assert {
    condition = alltrue([
      for job in ["train-s", "train-m", "train-l"] : length(setsubtract(
        ["MLFLOW_TRACKING_URI=https://mlflow-123456789012.europe-west1.run.app", "MLFLOW_TRACKING_AUTH=google", "MILLRACE_VERTEX_REGISTRY=on"],
        [for env in google_cloud_run_v2_job.job[job].template[0].template[0].containers[0].env : "${env.name}=${env.value}"],
      )) == 0
    ])
    error_message = "Trainings do not know where MLflow is, or not who they are."
  }

  assert {
    condition     = length(output.after_apply) == 2 && strcontains(output.after_apply[1], "mlflow-database")
    error_message = "Nobody makes MLflow's tables."
  }

  assert {
    condition = alltrue([
      for objective in values(google_monitoring_slo.objective) :
      length(objective.request_based_sli[0].good_total_ratio) + length(objective.request_based_sli[0].distribution_cut) == 1 && objective.goal < 1
    ]) && toset(keys(google_monitoring_slo.objective)) == toset(["drop-to-served", "predict-availability", "predict-latency"])
    error_message = "An objective is missing, or measures two things."
  }

  assert {
    condition     = one(google_monitoring_custom_service.promise["predict"].telemetry).resource_name == "//run.googleapis.com/projects/some-project/locations/europe-west1/services/predict"
    error_message = "The predictor's objectives are not about the predictor."
  }

  assert {
    condition     = jsondecode(google_monitoring_dashboard.machinery.dashboard_json).displayName == "Millrace dev" && length(jsondecode(google_monitoring_dashboard.machinery.dashboard_json).mosaicLayout.tiles) == 18
    error_message = "The dashboard lost its charts."
  }
}

run "everything_off" {
  command = plan
  variables {
    mlflow          = "off"
    vertex_registry = false
    billing_account = ""
    alert_emails    = []
  }

  assert {
    condition = (
      length(google_sql_database_instance.mlflow) + length(google_cloud_run_v2_service.mlflow) + length(google_cloud_run_v2_job.mlflow_database)
      + length(google_project_iam_member.mlflow_database) + length(google_project_iam_member.vertex_registry)
      + length(google_storage_bucket_iam_member.vertex_agent) + length(google_billing_budget.month) == 0
    )
    error_message = "Something costs, or has rights, that is switched off."
  }

  assert {
    condition = alltrue(flatten([
      for job in values(google_cloud_run_v2_job.job) : [
        for env in job.template[0].template[0].containers[0].env : !(startswith(env.name, "MLFLOW_TRACKING") && env.value != "")
      ]
    ]))
    error_message = "A job would look for an MLflow that is not there."
  }

  assert {
    condition     = length(google_monitoring_alert_policy.policy) == 6 && length(output.after_apply) == 0
    error_message = "An alert is about something that is switched off."
  }
}
