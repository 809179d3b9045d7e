# Who may do what: the edges of infra/topology.yaml as flat maps, one entry a grant, with keys that
# say what it is. Members and names of an installation are filled in by ../iam.tf. What an edge is,
# infra/access.py says too; a test holds the two together.
#
#   who    a function, service, job or external, `push-<function>`, or `people/<role>`
#   when   the switch a grant depends on (`always`, or a variable of the installation)

locals {
  # Google takes 12 logical operators in a condition, so 12 places stay under it, and 20 bindings of
  # one role and member that differ in their condition.
  clauses   = 12
  words     = ["reads", "lists", "creates", "changes", "publishes", "secrets", "calls"]
  externals = { for name, item in local.raw.externals : name => merge({ account = true }, item) }

  parties = merge(
    {
      for name, item in merge(local.raw.functions, local.raw.services, local.raw.jobs) : name => merge(
        { for word in local.words : word => try(item[word], []) },
        { excludes = [], runs = try(item.runs, []), when = "always" },
      )
    },
    {
      for name, item in local.externals : name => merge(
        { for word in local.words : word => try(item[word], []) },
        { excludes = [], runs = [], when = item.switch },
      ) if item.account
    },
    {
      for name, item in local.raw.people : "people/${name}" => merge(
        { for word in local.words : word => try(item[word], []) },
        { excludes = try(item.excludes, []), runs = [], when = "always" },
      )
    },
  )
  pushed = distinct([for item in values(local.subscriptions) : item.push if item.push != null])
}

variable "bucket_prefix" {
  description = "What stands before a bucket's topology key in its name."
  type        = string
  default     = ""
}

# --- who -----------------------------------------------------------------------------------------

output "identities" {
  description = "Service accounts: each function, service, job and external has one, and each function one that Pub/Sub calls it as."
  value = merge(
    {
      for who, party in local.parties : who => { account_id = "mr-${who}", display_name = "Millrace ${who}", when = party.when }
      if !startswith(who, "people/")
    },
    {
      for name in local.pushed : "push-${name}" => { account_id = "mr-push-${name}", display_name = "Pub/Sub, to ${name}", when = "always" }
    },
  )
}

output "people" {
  description = "Purpose of each role of people."
  value       = { for name, item in local.raw.people : name => item.purpose }
}

# --- buckets -------------------------------------------------------------------------------------

locals {
  # Whoever creates reads as well, to see what was there first; a predefined role for each word:
  # overwriting with a precondition is create, get and delete together.
  storage_roles = {
    reads   = "roles/storage.objectViewer"
    creates = "roles/storage.objectCreator"
    changes = "roles/storage.objectUser"
  }
  of_objects = "resource.name.startsWith(\"projects/_/buckets/%s/objects/%s\")"
  # A list asks the bucket, not objects. Other requests have no such attribute: the default must not
  # begin with any prefix, which is why everything's names need the second form.
  of_lists     = "api.getAttribute(\"storage.googleapis.com/objectListPrefix\", \"\").startsWith(\"%s\")"
  of_all_names = "resource.type == \"storage.googleapis.com/Bucket\""

  bucket_clauses = merge(flatten([
    for who, party in local.parties : [
      for word, places in {
        reads   = { objects = concat(party.reads, party.creates), lists = party.lists }
        creates = { objects = party.creates, lists = [] }
        changes = { objects = party.changes, lists = [] }
        } : [
        for bucket in keys(local.buckets) : [
          for number, clauses in chunklist(concat(
            [for place in places.objects : format(local.of_objects, "${var.bucket_prefix}${bucket}", trimprefix(place, "${bucket}/")) if startswith(place, "${bucket}/")],
            [for place in places.lists : format(local.of_lists, trimprefix(place, "${bucket}/")) if startswith(place, "${bucket}/") && place != "${bucket}/"],
            [for place in places.lists : local.of_all_names if place == "${bucket}/"],
            ), local.clauses) : {
            "${who}/${bucket}/${word}-${number}" = {
              who     = who
              bucket  = bucket
              word    = word
              title   = "${bucket} ${word} ${number}"
              clauses = clauses
              not     = [for place in party.excludes : format(local.of_objects, "${var.bucket_prefix}${bucket}", trimprefix(place, "${bucket}/")) if startswith(place, "${bucket}/")]
              when    = party.when
            }
          }
        ]
      ]
    ]
  ])...)
}

output "bucket_grants" {
  description = "A role on a bucket with the condition it holds under."
  value = {
    for key, grant in local.bucket_clauses : key => {
      who       = grant.who
      bucket    = grant.bucket
      role      = local.storage_roles[grant.word]
      when      = grant.when
      title     = grant.title
      condition = length(grant.not) == 0 ? join(" || ", grant.clauses) : "(${join(" || ", grant.clauses)}) && !(${join(" || ", grant.not)})"
    }
  }
}

# --- everything else -----------------------------------------------------------------------------

output "topic_grants" {
  description = "Who publishes to which topic."
  value = merge([
    for who, party in local.parties : {
      for topic in party.publishes : "${who}/${topic}" => { who = who, topic = topic, when = party.when }
    }
  ]...)
}

output "job_grants" {
  description = "Who starts which deployed job, and looks after its executions."
  value = merge([
    for who, party in local.parties : {
      for key, job in local.deployed_jobs : "${who}/${key}" => { who = who, job = key, when = party.when }
      if contains(party.runs, job.job)
    }
  ]...)
}

output "secret_grants" {
  description = "Who gets the value of which secret."
  value = merge([
    for who, party in local.parties : {
      for secret in party.secrets : "${who}/${secret}" => { who = who, secret = secret, when = party.when }
    }
  ]...)
}

output "invoker_grants" {
  description = "Who may call which function, service or external with an account (Cloud Run asks IAM)."
  value = merge(
    { for name in local.pushed : "push-${name}/${name}" => { who = "push-${name}", service = name, when = "always" } },
    merge([
      for who, party in local.parties : {
        for name in flatten([for call in party.calls : call == "*" ? keys(local.functions) : [call]]) :
        "${who}/${name}" => {
          who     = who
          service = name
          when    = try(local.externals[name].switch, party.when)
        } if try(local.externals[name].account, true)
      }
    ]...),
  )
}

output "project_grants" {
  description = "Which role of people has which of Google's roles on the whole project."
  value = merge([
    for name, item in local.raw.people : {
      for role in try(item.project, []) : "people/${name}/${role}" => { who = "people/${name}", role = role, when = "always" }
    }
  ]...)
}

output "registry_grants" {
  description = "Who may ask an external that is a service of Google's own."
  value = merge([
    for who, party in local.parties : {
      for name in party.calls : "${who}/${name}" => { who = who, external = name, when = local.externals[name].switch }
      if !try(local.externals[name].account, true)
    }
  ]...)
}

# --- Google's own service agents, between our parts ----------------------------------------------

output "agent_grants" {
  description = "What Cloud Storage, Cloud Scheduler and Pub/Sub act on: topics by agent, subscriptions whose dead letters move, buckets that exports go to."
  value = {
    storage_topics   = { for key, bucket in local.buckets : key => bucket.notify_topic if bucket.notify_topic != null }
    scheduler_topics = distinct([for item in values(local.schedules) : item.topic])
    dead_letters     = [for key, item in local.subscriptions : key if item.dead_letter]
    dead_topic       = "dead-letters"
    export_buckets   = distinct([for item in values(local.subscriptions) : item.export.bucket if item.export != null])
  }
}
