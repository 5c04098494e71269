# mypy: ignore-errors
# ruff: noqa: T201
from pichannels.dataflow import Conf, Topic  # was: slipstream

Conf(
    {
        "bootstrap_servers": "localhost:29091",
        "group_id": "default-demo",
    }
)

topic1 = Topic("emoji", {"bootstrap_servers": "localhost:29092"})

Conf(
    {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "myuser",
        "sasl_plain_password": "mypass",
    }
)

topic2 = Topic("conf", {"group_id": "demo"})

print(topic1.conf)
print(topic2.conf)
