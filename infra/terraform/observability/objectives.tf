# Service level objectives over four weeks. The goals are those of a scale-to-zero installation: cold
# starts count.

output "objectives" {
  description = "By key: `service` it belongs to, `goal`, and either `bad` of `total` or a `distribution` below `below`."
  value = merge(
    {
      for name in local.names.services : "${name}-availability" => {
        service      = name
        title        = "${name} answers without an error of its own"
        goal         = 0.995
        total        = "resource.type = \"cloud_run_revision\" AND resource.labels.service_name = \"${name}\" AND ${local.requests}"
        bad          = "resource.type = \"cloud_run_revision\" AND resource.labels.service_name = \"${name}\" AND ${local.requests} AND ${local.failed}"
        distribution = ""
        below        = 0
      }
    },
    {
      for name in local.names.services : "${name}-latency" => {
        service      = name
        title        = "${name} answers within a second"
        goal         = 0.99
        total        = ""
        bad          = ""
        distribution = "resource.type = \"cloud_run_revision\" AND resource.labels.service_name = \"${name}\" AND ${local.latencies}"
        below        = 1000
      }
    },
    {
      drop-to-served = {
        service      = "loop"
        title        = "what is promoted at once serves within half an hour of the drop"
        goal         = 0.9
        total        = ""
        bad          = ""
        distribution = local.served
        below        = 1800
      }
    },
  )
}
