# Who the parts are: an account for each function, service and job, and one that pushes.

resource "google_service_account" "identity" {
  for_each = module.topology.identities

  account_id   = each.value.account_id
  display_name = each.value.display_name
}
