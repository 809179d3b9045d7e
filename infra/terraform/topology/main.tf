# The map of the system for Terraform: reads infra/topology.yaml, fills in its defaults once, and
# hands out plain maps keyed by topology key, with the names that infra/topology.py uses (a test
# holds the two readings equal). Knows no provider, so it runs without a cloud. The `local` block and
# the `local_*` keys of the file are for one machine and end here.

locals {
  raw      = yamldecode(file("${path.module}/../../topology.yaml"))
  defaults = local.raw.defaults

  # What an entry may leave out. The entry itself is merged behind and wins.
  bucket_defaults = {
    notify_topic     = null
    retention        = {}
    kept             = {}
    noncurrent_days  = null
    soft_delete_days = 7
  }
  party_defaults   = { for word in local.words : word => [] }
  runtime_defaults = merge(local.defaults.function, local.party_defaults)
  function_defaults = merge(
    local.runtime_defaults,
    { runs = [], claim_seconds = local.defaults.claim_seconds, path = null },
  )
  job_defaults          = merge(local.party_defaults, { task_mib = 128, max_tasks = 1 })
  subscription_defaults = merge(local.defaults.subscription, { push = null, filter = "", dead_letter = true })

  buckets = {
    for name, item in local.raw.buckets : name => {
      for key, value in merge(local.bucket_defaults, { name = name }, item) : key => value
      if !startswith(key, "local_")
    }
  }
  functions = {
    for name, item in local.raw.functions : name => {
      for key, value in merge(local.function_defaults, { name = name }, item) : key => value
      if !startswith(key, "local_")
    }
  }
  services = {
    for name, item in local.raw.services : name => {
      for key, value in merge(local.runtime_defaults, { name = name }, item) : key => value
      if !startswith(key, "local_")
    }
  }
  jobs = {
    for name, item in local.raw.jobs : name => {
      for key, value in merge(local.job_defaults, { name = name }, item) : key => value
      if !startswith(key, "local_")
    }
  }
  # A Cloud Run job cannot be given another size when it is started, so each size is a job.
  deployed_jobs = merge([
    for name, job in local.jobs : {
      for size, resources in job.sizes : "${name}-${size}" => merge(
        { for key, value in job : key => value if key != "sizes" },
        resources,
        { name = "${name}-${size}", job = name, size = size },
      )
    }
  ]...)
  subscriptions = {
    for name, item in local.raw.subscriptions : name => merge(
      {
        for key, value in merge(local.subscription_defaults, { name = name }, item) : key => value
        if !startswith(key, "local_") && !startswith(key, "export_")
      },
      {
        export = can(item.export_bucket) ? {
          bucket          = item.export_bucket
          prefix          = item.export_prefix
          datetime_format = item.export_datetime_format
          max_seconds     = item.export_max_seconds
        } : null
      },
    )
  }
  schedules = {
    for name, item in local.raw.schedules : name => {
      for key, value in merge({ name = name }, item) : key => value if !startswith(key, "local_")
    }
  }
}

# Names on the wire, spelled here and in shared/adapters/names.py.
locals {
  topic_names = { for name in keys(local.raw.topics) : name => "millrace-${name}" }
  job_names   = { for name in keys(local.deployed_jobs) : name => "millrace-${name}" }
  # A filter cannot be changed, so another filter is another subscription. The function's name stays
  # in front: dead letters find their way back by it.
  subscription_names = {
    for name, item in local.subscriptions : name => "${name}-${substr(sha256(item.filter), 0, 8)}"
  }
}
