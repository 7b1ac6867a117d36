"""One OpenAPI document for all functions: each describes its own routes, clients see a single API."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dev.runtime import Runtime
from dev.sam import TEMPLATE, Template
from dev.trouble import Trouble, told

Document = dict[str, Any]


def merged(handlers: Iterable[Any]) -> Document:
    """The documents of the handlers' applications as one; the same path or schema may not differ."""
    documents = [handler.app.openapi() for handler in handlers if hasattr(handler, "app")]
    if not documents:
        return {
            "openapi": "3.1.0",
            "info": {"title": "No function could be imported", "version": "0"},
            "paths": {},
        }
    whole: Document = {key: documents[0][key] for key in ("openapi", "info")}
    whole["servers"] = [{"url": "/"}]
    whole["paths"] = _union(document.get("paths", {}) for document in documents)
    whole["components"] = {
        kind: _union(document.get("components", {}).get(kind, {}) for document in documents)
        for kind in ("schemas", "securitySchemes")
    }
    return whole


def _union(parts: Iterable[Document]) -> Document:
    whole: Document = {}
    for part in parts:
        for name, value in part.items():
            if whole.setdefault(name, value) != value:
                raise Trouble(f"Two functions describe {name} differently: rename one of the two.")
    return dict(sorted(whole.items()))


def main() -> None:
    """Write the document to the file named on the command line."""
    with told():
        runtime = Runtime(Template(TEMPLATE).functions)
        runtime.load()
        if runtime.handlers.keys() != runtime.functions.keys():
            raise Trouble("The OpenAPI document needs every function: mend the errors above first.")
        document = json.dumps(merged(runtime.handlers.values()), indent=2, ensure_ascii=False)
        Path(sys.argv[1]).write_text(document + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
