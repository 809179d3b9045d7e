# Who the parts are: an account for each function, service, job and external, and one for each function
# that Pub/Sub calls it as. None has a key; what runs gets its tokens from Google.

resource "google_service_account" "identity" {
  for_each = { for who, item in module.topology.identities : who => item if contains(local.switched_on, item.when) }

  account_id   = each.value.account_id
  display_name = each.value.display_name
}

locals {
  switched_on = concat(
    ["always"],
    var.mlflow == "server" ? ["mlflow"] : [],
    var.vertex_registry ? ["vertex_registry"] : [],
  )

  # Members behind every `who` of the topology. Keys are known before an account is made; people's are
  # what they are called.
  members = merge(
    { for who, account in google_service_account.identity : who => { "" = account.member } },
    { for role in keys(module.topology.people) : "people/${role}" => { for member in lookup(var.people, role, []) : " ${member}" => member } },
  )

  agents = {
    pubsub    = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
    scheduler = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-cloudscheduler.iam.gserviceaccount.com"
    storage   = data.google_storage_project_service_account.agent.member
  }
}

# Whoever applies this gives the accounts to functions, services, jobs and subscriptions, which Google
# allows those who may act as them.
resource "google_service_account_iam_member" "deployer" {
  for_each = merge([
    for who, account in google_service_account.identity : {
      for member in var.deployers : "${who} ${member}" => { account = account.name, member = member }
    }
  ]...)

  service_account_id = each.value.account
  role               = "roles/iam.serviceAccountUser"
  member             = each.value.member
}
