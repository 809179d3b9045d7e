# What people rely on: deletions are refused, a predictor is always warm (about 10 USD a month; 0 for
# none, then the first request after a quiet quarter of an hour waits for a start).
environment           = "prod"
deletion_protection   = true
predict_min_instances = 1
predict_max_instances = 20
mlflow                = "server"
vertex_registry       = false
budget_amount         = 150
# mlflow_tier         = "db-custom-1-3840" # with an SLA, about 49 USD a month
# alert_emails        = ["oncall@example.com"]
# secret_versions     = { slack-webhook-url = "1" }
# mail                = { host = "smtp.example.com", user = "millrace", from = "millrace@example.com", to = ["team@example.com"] }
# docs_url            = "https://github.com/OWNER/REPOSITORY/blob/main/infra/docs"
