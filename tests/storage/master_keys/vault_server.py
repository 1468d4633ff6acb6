"""A stand-in for Vault's transit engine: paths, JSON and status codes, over real AES-256-GCM."""

from __future__ import annotations

import base64
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class VaultServer:
    """One Vault with one transit mount. Use as a context manager."""

    def __init__(self, mount: str = "transit") -> None:
        self.mount = mount
        self.tokens = {"good-token"}
        self.keys: dict[str, dict[int, bytes]] = {"lake": {1: os.urandom(32)}}
        self.min_decryption_version = 1
        self.sealed = False
        self.seen: list[str] = []
        vault = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = json.loads(self.rfile.read(length))
                vault.seen.append(self.path)
                status, answer = vault.answer(self.path, body, self.headers.get("X-Vault-Token"))
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> VaultServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def rotate(self, name: str = "lake") -> None:
        """As `vault write -f transit/keys/NAME/rotate`."""
        self.keys[name][max(self.keys[name]) + 1] = os.urandom(32)

    def answer(self, path: str, body: dict[str, str], token: str | None) -> tuple[int, Any]:
        """Status and JSON of a request."""
        if self.sealed:
            return _errors(503, "Vault is sealed")
        if token not in self.tokens:
            return _errors(403, "permission denied")
        prefix = f"/v1/{self.mount}/"
        action, _, name = path.removeprefix(prefix).partition("/")
        if not path.startswith(prefix) or action not in ("encrypt", "decrypt"):
            return _errors(404, f'no handler for route "{path[4:]}". route entry not found.')
        if name not in self.keys:
            return _errors(400, "encryption key not found")
        data = base64.b64decode(body.get("associated_data", ""))
        return (self._encrypt if action == "encrypt" else self._decrypt)(name, body, data)

    def _encrypt(self, name: str, body: dict[str, str], data: bytes) -> tuple[int, Any]:
        version, nonce = max(self.keys[name]), os.urandom(12)
        key = AESGCM(self.keys[name][version])
        sealed = nonce + key.encrypt(nonce, base64.b64decode(body["plaintext"]), data)
        text = f"vault:v{version}:{base64.b64encode(sealed).decode()}"
        return 200, {"data": {"ciphertext": text, "key_version": version}}

    def _decrypt(self, name: str, body: dict[str, str], data: bytes) -> tuple[int, Any]:
        try:
            _, version_text, encoded = body["ciphertext"].split(":")
            version, sealed = int(version_text[1:]), base64.b64decode(encoded, validate=True)
        except ValueError:
            return _errors(400, "invalid ciphertext: wrong number of fields")
        if version < self.min_decryption_version:
            return _errors(400, "ciphertext or signature version is disallowed by policy (too old)")
        if version not in self.keys[name]:
            return _errors(400, "invalid ciphertext: version is too new")
        try:
            plain = AESGCM(self.keys[name][version]).decrypt(sealed[:12], sealed[12:], data)
        except InvalidTag:
            return _errors(400, "1 error occurred:\n\t* cipher: message authentication failed\n\n")
        return 200, {"data": {"plaintext": base64.b64encode(plain).decode()}}


def _errors(status: int, text: str) -> tuple[int, Any]:
    return status, {"errors": [text]}
