"""Lints template.yaml as CloudFormation will see it: after the SAM transform.

`sam validate --lint` looks at the source and lets a misspelt property or a bad StartingPosition of a SAM event pass;
the translated template hides nothing. It runs offline.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parent.parent
REGIONS = ["us-east-1", "eu-central-1"]


class NoManagedPolicies:
    """The translator asks for AWS's managed policies; the template uses none."""

    def load(self) -> dict:
        return {}


def untold(template: dict) -> list:
    """Parameters that are in a function whose version does not say so: changed, they would not reach the clients, who come by an alias."""

    def parameters(part) -> set:
        if isinstance(part, list):
            return set().union(*map(parameters, part))
        if not isinstance(part, dict):
            return set()
        named = {part.get("Ref")} & template["Parameters"].keys()
        condition = part.get("Fn::If", [None])[0]
        by_condition = parameters(template["Conditions"].get(condition)) if condition else set()
        nested = {part.get("Condition")} if isinstance(part.get("Condition"), str) else set()
        return named | by_condition | parameters(list(part.values())) | set().union(*(parameters(template["Conditions"].get(name)) for name in nested))

    found = []
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        if "AutoPublishAlias" in properties:
            inside = parameters([properties.get(part) for part in ("Environment", "LoggingConfig", "MemorySize", "Timeout")])
            told = properties["VersionDescription"]["Fn::Sub"]
            found += [f"{name}: {parameter} is not in its VersionDescription" for parameter in sorted(inside) if f"${{{parameter}}}" not in told]
    return found


def main() -> int:
    template = yaml_parse((ROOT / "template.yaml").read_text())
    if found := untold(template):
        print(*found, sep="\n")
        return 1
    # `sam deploy` puts an S3 address here; the translator insists on one.
    template["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"
    translated = transform(template, {}, NoManagedPolicies())
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(translated, file, indent=2)
        file.flush()
        return subprocess.call(["cfn-lint", "--regions", *REGIONS, "--", file.name])


if __name__ == "__main__":
    sys.exit(main())
