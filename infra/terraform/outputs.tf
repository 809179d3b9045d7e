output "installation" {
  description = "What `./millrace` needs to know to speak to this installation. Nothing here is secret."
  value = {
    project        = var.project
    project_number = data.google_project.this.number
    region         = var.region
    environment    = var.environment
    inbox          = google_storage_bucket.bucket["inbox"].name
    lake           = google_storage_bucket.bucket["lake"].name
    predict_url    = local.urls["predict"]
    promote_url    = local.urls["promote"]
    mlflow_url     = local.mlflow_url
    console_url    = var.console_url
    functions      = { for key in keys(module.topology.functions) : key => local.urls[key] }
    topics         = { for key, topic in google_pubsub_topic.topic : key => topic.name }
    subscriptions  = { for key, item in google_pubsub_subscription.subscription : key => item.name }
    jobs           = { for key, job in google_cloud_run_v2_job.job : key => job.name }
  }
}
