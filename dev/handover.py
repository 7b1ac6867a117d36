"""What `sam local` is handed so that functions in its containers find the local services.

It gives a function only those variables that the template declares, and runs it under the architecture that
stands there: hence a copy of the built template, and a file with the settings.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from academy.config import Settings
from dev import aws
from dev.local import LOOPBACK
from dev.sam import FUNCTION, LAYER, load

HOST = "host.docker.internal"
"""What Docker calls the machine that containers run on."""
OURS = {name.upper() for name in Settings.model_fields} | set(aws.environment(""))
# Lambda sets the first itself, wants one connection for each environment, and refuses private model servers.
# A file of this machine is not in a container; there, keys are wrapped by KMS's.
UNFIT = {"AWS_LAMBDA_FUNCTION_NAME", "DATABASE_POOL_SIZE", "KEY_FILE", "LLM_ALLOWED_PRIVATE"}
# After the scheme and, if there are any, name and password.
THIS_MACHINE = re.compile(r"^([a-z+]+://(?:[^/@]*@)?)(?:127\.0\.0\.1|localhost|\[::1\])(?=[:/?]|$)")


def settings(known: Mapping[str, str], address: str) -> dict[str, str]:
    """Of the functions' settings here, those for containers, with the address that leads out of them."""
    host = HOST if address == LOOPBACK else address
    fit = {name: value for name, value in sorted(known.items()) if _is_ours(name) and name not in UNFIT}
    # Only URLs: origins are seen from the browser, where localhost is right.
    urls = {name: value for name, value in fit.items() if name.endswith("_URL")}
    return {**fit, **{name: THIS_MACHINE.sub(rf"\g<1>{host}", url) for name, url in urls.items()}}


def write_settings(file: Path, values: Mapping[str, str], functions: Iterable[str]) -> None:
    """The file for `--env-vars`, for its owner's eyes only: it holds keys."""
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(json.dumps({name: dict(values) for name in functions}, indent=2))


def write_template(built: Path, names: Iterable[str], architecture: str) -> Path:
    """A copy beside `built`, whose functions declare `names` and whose code is for this machine."""
    # What it refers to by relative paths stays where it is.
    copy = built.with_name("local.yaml")
    copy.write_text(yaml.safe_dump(localised(load(built), names, architecture), sort_keys=False))
    return copy


def localised(document: dict[str, Any], names: Iterable[str], architecture: str) -> dict[str, Any]:
    common = _variables((document.get("Globals") or {}).get("Function") or {})
    for resource in document["Resources"].values():
        properties = resource.get("Properties") or {}
        if resource["Type"] == FUNCTION:
            declared = {*common, *_variables(properties), *names}
            # Without values: those of AWS lead nowhere here, and ours are in the file.
            properties["Environment"] = {"Variables": dict.fromkeys(sorted(declared), "")}
            properties["Architectures"] = [architecture]
        elif resource["Type"] == LAYER:
            properties["CompatibleArchitectures"] = [architecture]
            resource["Metadata"] = {**resource.get("Metadata", {}), "BuildArchitecture": architecture}
    return document


def _variables(function: Mapping[str, Any]) -> dict[str, Any]:
    return (function.get("Environment") or {}).get("Variables") or {}


def _is_ours(name: str) -> bool:
    return name in OURS or name.startswith(("POWERTOOLS_", "AWS_USE_"))
