# A policy per thing that somebody has to do something about. Each has its entry in
# infra/docs/runbook.md under its title; a test holds them together. Google bills conditions, so there
# are few, and each looks at all parts of a kind at once; its message names the part.

locals {
  # How long a message may wait: through every usual storm, and several tries of a slow function.
  patience = { for key, item in var.topology.subscriptions : key => max(1800, 4 * item.ack_deadline_seconds) }

  condition = {
    absent      = false
    comparison  = "COMPARISON_GT"
    threshold   = 0
    duration    = 0
    denominator = ""
  }

  policies = merge(
    {
      dead-letters = {
        title    = "Messages are parked"
        severity = "ERROR"
        enabled  = true
        combiner = "OR"
        text     = "A subscription gave up on a message after all its attempts. Nothing is lost, but what it would have started has not happened."
        conditions = [merge(local.condition, {
          name    = "dead letters"
          filter  = "${local.of_subscriptions} AND metric.type = \"pubsub.googleapis.com/subscription/dead_letter_message_count\""
          period  = 300
          aligner = "ALIGN_DELTA"
          reducer = "REDUCE_SUM"
          by      = ["resource.label.subscription_id"]
        })]
      }
      backlog = {
        title    = "Messages wait"
        severity = "ERROR"
        enabled  = true
        combiner = "OR"
        text     = "The oldest message of a subscription waits longer than storms and slow functions explain: its function fails, is not reached, or cannot keep up."
        conditions = [for seconds in distinct(sort(values(local.patience))) : merge(local.condition, {
          name      = "a message waits for more than ${floor(seconds / 60)} minutes"
          filter    = "resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = monitoring.regex.full_match(\"${join("|", sort([for key, limit in local.patience : var.topology.subscription_names[key] if limit == tonumber(seconds)]))}\") AND metric.type = \"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
          period    = 300
          aligner   = "ALIGN_MAX"
          reducer   = "REDUCE_MAX"
          by        = ["resource.label.subscription_id"]
          threshold = tonumber(seconds)
          duration  = 300
        })]
      }
      executions = {
        title    = "An execution failed"
        severity = "WARNING"
        enabled  = true
        combiner = "OR"
        text     = "An execution of a job ended without a result: out of memory, over its time, or a bug. Sweep starts it again, at most twice; then the run fails, and says so in Slack."
        conditions = [merge(local.condition, {
          name    = "failed executions"
          filter  = "${local.of_jobs} AND metric.type = \"run.googleapis.com/job/completed_execution_count\" AND metric.labels.result = \"failed\""
          period  = 300
          aligner = "ALIGN_DELTA"
          reducer = "REDUCE_SUM"
          by      = ["resource.label.job_name"]
        })]
      }
      predict-errors = {
        title    = "The predictor fails"
        severity = "CRITICAL"
        enabled  = true
        combiner = "AND"
        text     = "More than one in twenty requests of the last ten minutes, and more than five, were answered 5xx: no version loads, instances die, or there are not enough of them."
        conditions = [
          merge(local.condition, {
            name        = "a twentieth fails"
            filter      = "${local.of_services} AND ${local.requests} AND ${local.failed}"
            denominator = "${local.of_services} AND ${local.requests}"
            period      = 600
            aligner     = "ALIGN_DELTA"
            reducer     = "REDUCE_SUM"
            by          = ["resource.label.service_name"]
            threshold   = 0.05
          }),
          merge(local.condition, {
            name      = "more than five fail"
            filter    = "${local.of_services} AND ${local.requests} AND ${local.failed}"
            period    = 600
            aligner   = "ALIGN_DELTA"
            reducer   = "REDUCE_SUM"
            by        = ["resource.label.service_name"]
            threshold = 5
          }),
        ]
      }
      predict-latency = {
        title    = "The predictor is slow"
        severity = "WARNING"
        enabled  = true
        combiner = "OR"
        text     = "For a quarter of an hour the slowest hundredth of requests took longer than ${var.predict_p99_ms} ms. Cold starts alone do that where hardly anybody asks."
        conditions = [merge(local.condition, {
          name      = "p99 above ${var.predict_p99_ms} ms"
          filter    = "${local.of_services} AND ${local.latencies}"
          period    = 300
          aligner   = "ALIGN_DELTA"
          reducer   = "REDUCE_PERCENTILE_99"
          by        = ["resource.label.service_name"]
          threshold = var.predict_p99_ms
          duration  = 900
        })]
      }
      sweep = {
        title    = "Nothing sweeps"
        severity = "CRITICAL"
        enabled  = !var.schedules_paused
        combiner = "OR"
        text     = "No sweep came to a good end for an hour; it should every five minutes. What depends on time (late files, approvals, waiting runs, executions that died) stands still."
        conditions = [merge(local.condition, {
          name     = "no sweep for an hour"
          absent   = true
          filter   = "resource.type = \"cloud_run_revision\" AND resource.labels.service_name = \"sweep\" AND ${local.requests} AND metric.labels.response_code_class = \"2xx\""
          period   = 300
          aligner  = "ALIGN_DELTA"
          reducer  = "REDUCE_SUM"
          by       = []
          duration = 3600
        })]
      }
    },
    { for key, policy in local.mlflow_policies : key => policy if var.mlflow_instance != "" },
  )

  mlflow_policies = {
    mlflow-database = {
      title    = "MLflow's database is full"
      severity = "WARNING"
      enabled  = true
      combiner = "OR"
      text     = "The disk of MLflow's database is nearly full and grows no further. When it is, trainings and promotions go on without MLflow."
      conditions = [merge(local.condition, {
        name      = "nine tenths of the disk are used"
        filter    = "${local.of_database} AND metric.type = \"cloudsql.googleapis.com/database/disk/utilization\""
        period    = 300
        aligner   = "ALIGN_MEAN"
        reducer   = "REDUCE_MAX"
        by        = []
        threshold = 0.9
        duration  = 900
      })]
    }
  }
}

output "policies" {
  description = "Alert policies by key; `link` and `anchor` lead to the runbook."
  value = {
    for key, policy in local.policies : key => merge(policy, {
      anchor = replace(replace(lower(policy.title), "'", ""), " ", "-")
      link   = var.runbook == "" ? "" : "${var.runbook}#${replace(replace(lower(policy.title), "'", ""), " ", "-")}"
    })
  }
}
