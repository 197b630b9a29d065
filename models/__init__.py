"""Language-model code: choose a base, encode, train, score, decide. No Prefect, MLflow or boto3."""
