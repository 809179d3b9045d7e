output "buckets" {
  description = "name, versioning, notify_topic (topology key or null)"
  value       = local.buckets
}

output "topics" {
  description = "Topology keys."
  value       = keys(local.raw.topics)
}

output "functions" {
  description = "Fields of infra.topology.Function."
  value       = local.functions
}

output "services" {
  description = "Fields of infra.topology.Service."
  value       = local.services
}

output "jobs" {
  description = "Fields of infra.topology.Job."
  value       = local.jobs
}

output "deployed_jobs" {
  description = "One per job and size (`train-s`): the job's fields, cpu and memory of the size, `job` and `size`."
  value       = local.deployed_jobs
}

output "subscriptions" {
  description = "Fields of infra.topology.Subscription."
  value       = local.subscriptions
}

output "schedules" {
  description = "name, cron (UTC), topic, message"
  value       = local.schedules
}

output "claim_seconds" {
  value = local.defaults.claim_seconds
}

output "spec_wait_seconds" {
  value = local.defaults.spec_wait_seconds
}

output "topic_names" {
  description = "Pub/Sub topic by topology key."
  value       = local.topic_names
}

output "job_names" {
  description = "Cloud Run job by key of deployed_jobs."
  value       = local.job_names
}

output "subscription_names" {
  description = "Pub/Sub subscription by topology key; another filter makes another name."
  value       = local.subscription_names
}
