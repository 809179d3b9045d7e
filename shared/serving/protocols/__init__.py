"""How requests are written in each protocol: one module each, over one inference core.

    native           /predict                  a record, a list, {"instances": [...]}
    vertex           AIP_PREDICT_ROUTE         Vertex AI's custom container contract
    mlflow_scoring   /invocations              what `mlflow models serve` answers
    open_inference   /v2/...                   the Open Inference Protocol, version 2

Each has `read` (body and headers to records), `write` (predictions to a body) and `refuse` (a
refusal in the protocol's own shape); see `asked.Protocol`. They are pure: no model is asked here.
"""
