-- Run once by the empty cluster; Prefect has the default database.
create database mlflow;
