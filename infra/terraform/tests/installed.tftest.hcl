# The whole installation, planned and applied against providers that make nothing: `make terraform`, or
#   terraform -chdir=infra/terraform test -var-file=environments/dev.tfvars
# Loops, conditions and references run with real values here, which `validate` does not do.

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

run "installed" {
  command = apply

  assert {
    condition = (
      toset(keys(google_cloudfunctions2_function.function)) == toset(keys(module.topology.functions)) &&
      toset(keys(google_cloud_run_v2_service.service)) == toset(keys(module.topology.services)) &&
      toset(keys(google_cloud_run_v2_job.job)) == toset(keys(module.topology.deployed_jobs)) &&
      toset(keys(google_pubsub_topic.topic)) == toset(module.topology.topics) &&
      toset(keys(google_pubsub_subscription.subscription)) == toset(keys(module.topology.subscriptions)) &&
      toset(keys(google_storage_bucket.bucket)) == toset(keys(module.topology.buckets)) &&
      toset(keys(google_cloud_scheduler_job.schedule)) == toset(keys(module.topology.schedules))
    )
    error_message = "Something of the topology is not deployed, or something else is."
  }

  assert {
    condition = alltrue([
      for key, item in module.topology.subscriptions : (
        google_pubsub_subscription.subscription[key].push_config[0].push_endpoint == google_cloudfunctions2_function.function[item.push].service_config[0].uri &&
        google_pubsub_subscription.subscription[key].push_config[0].oidc_token[0].audience == google_cloudfunctions2_function.function[item.push].service_config[0].uri
      ) if item.push != null
    ])
    error_message = "A push goes elsewhere than to its function, or with a token for somebody else."
  }

  assert {
    condition = alltrue([
      for key, item in module.topology.subscriptions : (
        google_pubsub_subscription.subscription[key].filter == item.filter &&
        length(google_pubsub_subscription.subscription[key].dead_letter_policy) == (item.dead_letter ? 1 : 0) &&
        google_pubsub_subscription.subscription[key].expiration_policy[0].ttl == "" &&
        length(google_pubsub_subscription.subscription[key].cloud_storage_config) == (item.export == null ? 0 : 1)
      )
    ])
    error_message = "A subscription has another filter, dead letter, end or export than the topology says."
  }

  assert {
    condition     = alltrue([for service in values(google_cloud_run_v2_service.service) : service.template[0].containers[0].resources[0].cpu_idle])
    error_message = "A service would be billed while nobody asks."
  }

  assert {
    condition     = alltrue([for service in values(google_cloud_run_v2_service.service) : service.scaling[0].min_instance_count == var.predict_min_instances])
    error_message = "A minimum of instances is a revision's instead of the service's."
  }

  assert {
    condition     = alltrue([for function in values(google_cloudfunctions2_function.function) : length(function.service_config[0].secret_environment_variables) == 0])
    error_message = "A function is given a secret that has no value yet, so it would not start."
  }

  assert {
    condition     = alltrue([for bucket in values(google_storage_bucket.bucket) : bucket.public_access_prevention == "enforced" && bucket.uniform_bucket_level_access])
    error_message = "A bucket could be made public."
  }

  assert {
    condition     = length([for rule in google_storage_bucket.bucket["lake"].lifecycle_rule : rule if one(rule.condition).age > 7]) == length(module.topology.buckets["lake"].retention)
    error_message = "A retention of the lake has no rule."
  }

  assert {
    condition     = output.installation.functions["promote"] == "https://promote-123456789012.europe-west1.run.app"
    error_message = "A function is not where others look for it."
  }

  # Functions see no variable that is empty: it would read like one that is set.
  assert {
    condition     = alltrue(flatten([for function in values(google_cloudfunctions2_function.function) : [for value in values(function.service_config[0].environment_variables) : value != ""]]))
    error_message = "An empty variable is set."
  }
}

run "who_may_what" {
  command = plan
  variables {
    people    = { deciders = ["group:leads@example.com", "user:ada@example.com"] }
    deployers = ["serviceAccount:deploy@some-project.iam.gserviceaccount.com"]
  }

  assert {
    condition = toset(keys(google_storage_bucket_iam_member.access)) == toset([
      for key, edge in module.topology.bucket_grants : key
      if !startswith(edge.who, "people/") && contains(local.switched_on, edge.when)
    ])
    error_message = "Somebody may not what the topology says, or nobody is somebody."
  }

  assert {
    condition     = alltrue([for grant in google_storage_bucket_iam_member.access : strcontains(one(grant.condition).expression, "/buckets/some-project-millrace-") || !strcontains(one(grant.condition).expression, "resource.name")])
    error_message = "A condition names a bucket that is not there."
  }

  assert {
    condition = toset([for key in keys(google_cloud_run_v2_service_iam_member.invoker) : key if startswith(key, "people/")]) == toset([
      "people/deciders/promote group:leads@example.com",
      "people/deciders/promote user:ada@example.com",
    ])
    error_message = "People get what their role has, each of them, and nobody else does."
  }

  assert {
    condition     = toset([for key in keys(google_cloud_run_v2_service_iam_member.invoker) : key if startswith(key, "push-")]) == toset([for name in keys(module.topology.functions) : "push-${name}/${name}"])
    error_message = "Pub/Sub may call a function that it should not, or not one that it should."
  }

  assert {
    condition     = length(google_service_account_iam_member.deployer) == length(google_service_account.identity)
    error_message = "Whoever deploys may not act as everybody."
  }
}

run "with_secrets" {
  command = plan
  variables {
    secret_versions = { slack-webhook-url = "2" }
  }

  assert {
    condition = alltrue([
      for key, function in google_cloudfunctions2_function.function :
      [for one in function.service_config[0].secret_environment_variables : "${one.key}=${one.version}"]
      == [for secret in module.topology.functions[key].secrets : "SLACK_WEBHOOK_URL=2" if secret == "slack-webhook-url"]
    ])
    error_message = "A secret with a version goes to the functions that ask for it, and to nobody else."
  }
}
