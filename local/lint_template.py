"""Lints template.yaml as CloudFormation will see it: after the SAM transform.

`sam validate --lint` looks at the source and lets a misspelt property or a bad StartingPosition of a SAM event pass;
the translated template hides nothing. It runs offline. What no linter knows of this template is looked at here: whether
somebody hears of each dead letter, and hears of it in time.
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
        failed = subprocess.call(["cfn-lint", "--regions", *REGIONS, "--", file.name])
    wrong = [*unheard(template["Resources"]), *late(template)]
    for line in wrong:
        print(f"error: template.yaml: {line}", file=sys.stderr)
    return 1 if wrong else failed


def unheard(resources: dict) -> list:
    """Dead letter queues without the two alarms on their depth: a letter is there, and one stays for an hour."""
    dead = set()
    for resource in resources.values():
        properties = resource.get("Properties", {})
        for place in (properties.get("DestinationConfig", {}).get("OnFailure", {}), properties.get("RedrivePolicy", {})):
            arn = place.get("Destination") or place.get("deadLetterTargetArn")
            if arn:
                dead.add(named(arn))
    heard = set()
    for resource in resources.values():
        alarm = resource.get("Properties", {})
        if resource["Type"] == "AWS::CloudWatch::Alarm" and alarm["MetricName"] == "ApproximateNumberOfMessagesVisible":
            heard.add((named(alarm["Dimensions"][0]["Value"]), alarm["Period"] * alarm["EvaluationPeriods"]))
    return [f"{queue} has no alarm over {seconds} s" for queue in sorted(dead) for seconds in (300, 3600) if (queue, seconds) not in heard]


def late(template: dict) -> list:
    """Mappings of tables that may try for longer than a table's stream keeps a change, which is a day."""
    wrong = []
    for name, resource in template["Resources"].items():
        mapping = resource.get("Properties", {})
        if resource["Type"] == "AWS::Lambda::EventSourceMapping" and "StreamArn" in str(mapping["EventSourceArn"]):
            most = template["Parameters"][mapping["MaximumRecordAgeInSeconds"]["Ref"]]["MaxValue"]
            if most >= 86400:
                wrong.append(f"{name} may try for {most} s, and its stream forgets after a day")
    return wrong


def named(get_att: dict) -> str:
    """The resource of `!GetAtt`."""
    att = get_att["Fn::GetAtt"]
    return att.split(".")[0] if isinstance(att, str) else att[0]


if __name__ == "__main__":
    sys.exit(main())
