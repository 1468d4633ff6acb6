"""The providers of master keys, and the one line that names one.

| line | provider |
|---|---|
| `file:PATH` | `key_file` |
| `passphrase-file:PATH` | `passphrase` |
| `aws-kms:KEY?region=…&endpoint_url=…` | `aws_kms` |
| `vault-transit:https://HOST:8200/transit/keys/NAME?token_file=…` | `vault_transit` |
"""
