# As production, smaller, and it may be thrown away.
environment           = "staging"
deletion_protection   = false
predict_min_instances = 0
predict_max_instances = 5
mlflow                = "server"
vertex_registry       = false
budget_amount         = 50
