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


def main() -> int:
    template = yaml_parse((ROOT / "template.yaml").read_text())
    # `sam deploy` puts an S3 address here; the translator insists on one.
    template["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"
    translated = transform(template, {}, NoManagedPolicies())
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(translated, file, indent=2)
        file.flush()
        return subprocess.call(["cfn-lint", "--regions", *REGIONS, "--", file.name])


if __name__ == "__main__":
    sys.exit(main())
