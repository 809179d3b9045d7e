# Who may do what, derived from who reads, writes, publishes and runs what.

output "identities" {
  description = "Service accounts by key: each function, service and job, and `push` for Pub/Sub."
  value = merge(
    { for key, id in local.service_accounts : key => { account_id = id, display_name = "Millrace ${key}" } },
    { push = { account_id = "mr-push", display_name = "Millrace push" } },
  )
}
