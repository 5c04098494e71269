# mypy: ignore-errors
# ruff: noqa: T201
from pichannels.dataflow import Conf  # was: slipstream; its topics need Kafka

Conf(
    {
        "bootstrap_servers": "localhost:29091",
        "group_id": "default-demo",
    }
)

print({**Conf(), "bootstrap_servers": "localhost:29092"})  # was: topic1.conf

Conf(
    {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "myuser",
        "sasl_plain_password": "mypass",
    }
)

print({**Conf(), "group_id": "demo"})  # was: topic2.conf
