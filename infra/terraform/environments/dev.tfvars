# To try things: nothing is kept from deletion, nothing waits while nobody asks.
#   terraform apply -var-file=environments/dev.tfvars -var project=...
environment           = "dev"
deletion_protection   = false
predict_min_instances = 0
predict_max_instances = 3
mlflow                = "off"
vertex_registry       = false
budget_amount         = 20
