output "delivery" {
  description = "What a workflow on GitHub is told (repository variables, no secrets), and who applies."
  value = {
    identities        = { for key, account in google_service_account.identity : key => account.email }
    workload_identity = one(google_iam_workload_identity_pool_provider.github[*].name)
    triggers          = { for key, trigger in google_cloudbuild_trigger.trigger : key => trigger.name }
  }
}
