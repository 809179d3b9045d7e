# Rows of charts, three in a row: what people ask for first is on top.

locals {
  # filter, how points become a line, what tells lines apart, what they are called
  charts = {
    predict_requests = {
      title = "Requests per second, by answer", by = ["metric.label.response_code_class"], unit = "1/s"
      lines = [{ filter = "${local.of_services} AND ${local.requests}", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", name = "$${metric.labels.response_code_class}" }]
    }
    predict_latency = {
      title = "Latency: half, and the slowest hundredth", by = ["resource.label.service_name"], unit = "ms"
      lines = [
        { filter = "${local.of_services} AND ${local.latencies}", aligner = "ALIGN_DELTA", reducer = "REDUCE_PERCENTILE_50", name = "p50" },
        { filter = "${local.of_services} AND ${local.latencies}", aligner = "ALIGN_DELTA", reducer = "REDUCE_PERCENTILE_99", name = "p99" },
      ]
    }
    predict_errors = {
      title = "Answered 5xx, of all", by = ["resource.label.service_name"], unit = "share"
      lines = [{ filter = "${local.of_services} AND ${local.requests} AND ${local.failed}", denominator = "${local.of_services} AND ${local.requests}", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", name = "5xx" }]
    }
    predict_instances = {
      title = "Instances", by = ["metric.label.state"], unit = "instances"
      lines = [{ filter = "${local.of_services} AND metric.type = \"run.googleapis.com/container/instance_count\"", aligner = "ALIGN_MAX", reducer = "REDUCE_SUM", name = "$${metric.labels.state}" }]
    }
    predictions = {
      title = "Predictions logged, per second", by = ["resource.label.topic_id"], unit = "1/s"
      lines = [{ filter = "resource.type = \"pubsub_topic\" AND resource.labels.topic_id = \"${var.topology.topic_names["predictions"]}\" AND metric.type = \"pubsub.googleapis.com/topic/send_message_operation_count\"", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", name = "rows" }]
    }
    served = {
      title = "From a drop to a served version", by = [], unit = "s"
      lines = [
        { filter = local.served, aligner = "ALIGN_DELTA", reducer = "REDUCE_PERCENTILE_50", name = "p50" },
        { filter = local.served, aligner = "ALIGN_DELTA", reducer = "REDUCE_PERCENTILE_95", name = "p95" },
      ]
    }
    function_requests = {
      title = "Deliveries per second", by = ["resource.label.service_name"], unit = "1/s"
      lines = [{ filter = "${local.of_functions} AND ${local.requests}", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", name = "$${resource.labels.service_name}" }]
    }
    function_latency = {
      title = "Time of a delivery (p95)", by = ["resource.label.service_name"], unit = "ms"
      lines = [{ filter = "${local.of_functions} AND ${local.latencies}", aligner = "ALIGN_DELTA", reducer = "REDUCE_PERCENTILE_95", name = "$${resource.labels.service_name}" }]
    }
    function_errors = {
      title = "Deliveries to be tried again (5xx), per second", by = ["resource.label.service_name"], unit = "1/s"
      lines = [{ filter = "${local.of_functions} AND ${local.requests} AND ${local.failed}", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", name = "$${resource.labels.service_name}" }]
    }
    backlog = {
      title = "Messages that wait", by = ["resource.label.subscription_id"], unit = "messages"
      lines = [{ filter = "${local.of_subscriptions} AND metric.type = \"pubsub.googleapis.com/subscription/num_undelivered_messages\"", aligner = "ALIGN_MEAN", reducer = "REDUCE_SUM", name = "$${resource.labels.subscription_id}" }]
    }
    oldest = {
      title = "Age of the oldest", by = ["resource.label.subscription_id"], unit = "s"
      lines = [{ filter = "${local.of_subscriptions} AND metric.type = \"pubsub.googleapis.com/subscription/oldest_unacked_message_age\"", aligner = "ALIGN_MAX", reducer = "REDUCE_MAX", name = "$${resource.labels.subscription_id}" }]
    }
    parked = {
      title = "Messages parked, per second", by = ["resource.label.subscription_id"], unit = "1/s"
      lines = [{ filter = "${local.of_subscriptions} AND metric.type = \"pubsub.googleapis.com/subscription/dead_letter_message_count\"", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", name = "$${resource.labels.subscription_id}" }]
    }
    executions = {
      title = "Executions ended, by result", by = ["resource.label.job_name", "metric.label.result"], unit = "executions"
      lines = [{ filter = "${local.of_jobs} AND metric.type = \"run.googleapis.com/job/completed_execution_count\"", aligner = "ALIGN_DELTA", reducer = "REDUCE_SUM", name = "$${resource.labels.job_name} $${metric.labels.result}" }]
    }
    running = {
      title = "Executions at work", by = ["resource.label.job_name"], unit = "executions"
      lines = [{ filter = "${local.of_jobs} AND metric.type = \"run.googleapis.com/job/running_executions\"", aligner = "ALIGN_MAX", reducer = "REDUCE_SUM", name = "$${resource.labels.job_name}" }]
    }
    memory = {
      title = "Memory of jobs (p99)", by = ["resource.label.job_name"], unit = "share"
      lines = [{ filter = "${local.of_jobs} AND metric.type = \"run.googleapis.com/container/memory/utilizations\"", aligner = "ALIGN_DELTA", reducer = "REDUCE_PERCENTILE_99", name = "$${resource.labels.job_name}" }]
    }
    mlflow_requests = {
      title = "MLflow: requests per second, by answer", by = ["metric.label.response_code_class"], unit = "1/s"
      lines = [{ filter = "${local.of_mlflow} AND ${local.requests}", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", name = "$${metric.labels.response_code_class}" }]
    }
    mlflow_connections = {
      title = "MLflow: connections to its database", by = [], unit = "connections"
      lines = [{ filter = "${local.of_database} AND metric.type = \"cloudsql.googleapis.com/database/postgresql/num_backends\"", aligner = "ALIGN_MAX", reducer = "REDUCE_SUM", name = "connections" }]
    }
    mlflow_disk = {
      title = "MLflow: disk of its database", by = [], unit = "share"
      lines = [{ filter = "${local.of_database} AND metric.type = \"cloudsql.googleapis.com/database/disk/utilization\"", aligner = "ALIGN_MEAN", reducer = "REDUCE_MAX", name = "used" }]
    }
  }

  rows = concat(
    [
      ["predict_requests", "predict_latency", "predict_errors"],
      ["predict_instances", "predictions", "served"],
      ["function_requests", "function_latency", "function_errors"],
      ["backlog", "oldest", "parked"],
      ["executions", "running", "memory"],
    ],
    var.mlflow_instance == "" ? [] : [["mlflow_requests", "mlflow_connections", "mlflow_disk"]],
  )
  width  = 16
  height = 14

  # How the points of a line become one value every five minutes.
  summed = {
    for key, chart in local.charts : key => {
      for line in chart.lines : line.name => {
        aggregation = {
          alignmentPeriod    = "300s"
          perSeriesAligner   = line.aligner
          crossSeriesReducer = line.reducer
          groupByFields      = chart.by
        }
      }
    }
  }
}

output "dashboard" {
  description = "As the API of dashboards has it."
  value = {
    displayName = "Millrace"
    mosaicLayout = {
      columns = 48
      tiles = flatten([for y, row in local.rows : [for x, key in row : {
        xPos   = x * local.width
        yPos   = y * local.height
        width  = local.width
        height = local.height
        widget = {
          title = local.charts[key].title
          xyChart = {
            yAxis = { label = local.charts[key].unit, scale = "LINEAR" }
            dataSets = [for line in local.charts[key].lines : {
              plotType       = "LINE"
              legendTemplate = line.name
              timeSeriesQuery = {
                for kind, query in {
                  timeSeriesFilter = merge({ filter = line.filter }, local.summed[key][line.name])
                  timeSeriesFilterRatio = {
                    numerator   = merge({ filter = line.filter }, local.summed[key][line.name])
                    denominator = merge({ filter = try(line.denominator, "") }, local.summed[key][line.name])
                  }
                } : kind => query if can(line.denominator) == (kind == "timeSeriesFilterRatio")
              }
            }]
          }
        }
      }]])
    }
  }
}
