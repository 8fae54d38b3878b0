"""Lints template.yaml as CloudFormation will see it: after the SAM transform.

`sam validate --lint` looks at the source and lets a misspelt property or a bad StartingPosition of a SAM event pass;
the translated template hides nothing. It runs offline. What no linter knows of this template is looked at here: whether
somebody hears of each dead letter, and hears of it in time, of each schedule that starts nothing, and of one whose runs all fail; whether each route has limits of its
own; whether a page names each parameter; and whether each function may read its source as AWS wants it, which the local AWS does not ask.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parent.parent
REGIONS = ["us-east-1", "eu-central-1"]
# What an event source mapping does in the function's name.
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
# https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html
# https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-eventsourcemapping.html
READS = {
    "AWS::SQS::Queue": {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"},
    "AWS::Kinesis::Stream": {
        "kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:ListShards", "kinesis:GetShardIterator", "kinesis:GetRecords",
    },
    "AWS::DynamoDB::Table": {"dynamodb:DescribeStream", "dynamodb:GetShardIterator", "dynamodb:GetRecords", "dynamodb:ListStreams"},
}  # fmt: skip


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


def unexplained(template: dict) -> list:
    """Parameters that no page names."""
    pages = "".join(page.read_text() for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    return [f"{name}: no page says what it is for" for name in template["Parameters"] if not re.search(rf"\b{name}\b", pages)]


def main() -> int:
    template = yaml_parse((ROOT / "template.yaml").read_text())
    if found := [*untold(template), *unexplained(template)]:
        print(*found, sep="\n")
        return 1
    # `sam deploy` puts an S3 address here; the translator insists on one.
    template["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"
    translated = transform(template, {}, NoManagedPolicies())
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(translated, file, indent=2)
        file.flush()
        failed = subprocess.call(["cfn-lint", "--regions", *REGIONS, "--", file.name])
    resources = translated["Resources"]
    wrong = [*unheard(resources), *late(translated), *silent(resources), *hasty(resources), *unlimited(resources), *unread(resources)]
    for line in wrong:
        print(f"error: template.yaml: {line}", file=sys.stderr)
    return 1 if wrong else failed


def alarms_on(metric: str, resources: dict) -> list:
    """The alarms on one metric by itself."""
    alarms = [resource for resource in resources.values() if resource["Type"] == "AWS::CloudWatch::Alarm"]
    return [alarm for alarm in alarms if alarm["Properties"].get("MetricName") == metric]


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
    for resource in alarms_on("ApproximateNumberOfMessagesVisible", resources):
        alarm = resource["Properties"]
        heard.add((named(alarm["Dimensions"][0]["Value"]), alarm["Period"] * alarm["EvaluationPeriods"]))
    return [f"{queue} has no alarm over {seconds} s" for queue in sorted(dead) for seconds in (300, 3600) if (queue, seconds) not in heard]


def late(template: dict) -> list:
    """Mappings of streams that may try for longer than a stream keeps a record for sure, which is a day: what it forgets before
    there is a dead letter is lost. And those of which nobody hears that they are behind."""
    resources = template["Resources"]
    heard = {named(alarm["Properties"]["Dimensions"][0]["Value"]) for alarm in alarms_on("IteratorAge", resources)}
    wrong = []
    for name, resource in resources.items():
        mapping = resource.get("Properties", {})
        if resource["Type"] != "AWS::Lambda::EventSourceMapping" or "MaximumRecordAgeInSeconds" not in mapping:
            continue
        most = template["Parameters"][mapping["MaximumRecordAgeInSeconds"]["Ref"]]["MaxValue"]
        if most >= 86400:
            wrong.append(f"{name} may try for {most} s, and its stream may forget after a day")
        if named(mapping["FunctionName"]) not in heard:
            wrong.append(f"{name}: nobody hears where it is behind")
    return wrong


def silent(resources: dict) -> list:
    """Schedules without an alarm that rings where their function is not started, on whose condition soever."""
    heard = set()
    for resource in alarms_on("Invocations", resources):
        alarm = resource["Properties"]
        rings = alarm["ComparisonOperator"], alarm["Threshold"], alarm["TreatMissingData"]
        if rings == ("LessThanThreshold", 1, "breaching"):
            heard.add((named(alarm["Dimensions"][0]["Value"]), resource.get("Condition")))
    wrong = []
    for name, resource in resources.items():
        properties = resource.get("Properties", {})
        if "ScheduleExpression" not in properties:
            continue
        for target in properties.get("Targets") or [properties["Target"]]:
            function = named(target["Arn"])
            if resources[function]["Type"] == "AWS::Lambda::Alias":
                function = named(resources[function]["Properties"]["FunctionName"])
            if (function, resource.get("Condition")) not in heard:
                wrong.append(f"{name}: nobody hears where {function} is not started")
    return wrong


def hasty(resources: dict) -> list:
    """Alarms on the errors of a function that a schedule starts, over a time that the schedule may be too rare to fill."""
    started = set()
    for resource in resources.values():
        properties = resource.get("Properties", {})
        if isinstance(properties.get("ScheduleExpression"), dict):
            started |= {named(target["Arn"]) for target in properties.get("Targets") or [properties["Target"]]}
    wrong = []
    for name, resource in resources.items():
        alarm = resource.get("Properties", {})
        if resource["Type"] != "AWS::CloudWatch::Alarm":
            continue
        metrics = [alarm, *(part["MetricStat"]["Metric"] for part in alarm.get("Metrics", []) if "MetricStat" in part)]
        of_errors = [metric for metric in metrics if metric.get("MetricName") == "Errors"]
        if any(named(metric["Dimensions"][0]["Value"]) in started for metric in of_errors):
            grows = alarm["EvaluationPeriods"] == {"Ref": "SilenceHours"} and alarm["TreatMissingData"] == "breaching"
            periods = [part["MetricStat"]["Period"] for part in alarm.get("Metrics", []) if "MetricStat" in part] or [alarm["Period"]]
            if not grows or set(periods) != {3600}:
                wrong.append(f"{name} looks at less than may lie between two runs")
    return wrong


def unlimited(resources: dict) -> list:
    """Routes without a rate and a burst of their own, limits of no route, and routes for which the stage does not wait."""
    stage = resources["ApiStage"]
    settings, waits = stage["Properties"]["RouteSettings"], [*stage["DependsOn"], *refs(stage["Properties"]["StageVariables"])]
    wrong, routes, pairs = [], set(), {}
    for name, resource in resources.items():
        if resource["Type"] != "AWS::ApiGatewayV2::Route":
            continue
        route = resource["Properties"]["RouteKey"]
        limits = settings.get(route, {})
        if "Condition" in resource:
            condition, limits, _ = limits.get("Fn::If", [None, {}, None])
            if condition != resource["Condition"]:
                wrong.append(f"{route} is there on another condition than its limits")
        pair = json.dumps([limits.get("ThrottlingRateLimit"), limits.get("ThrottlingBurstLimit")])
        if "null" in pair:
            wrong.append(f"{route} has no limits of its own")
        elif pair in pairs:
            wrong.append(f"{route} has the limits of {pairs[pair]}")
        if name not in waits:
            wrong.append(f"the stage does not wait for {route}")
        routes.add(route)
        pairs[pair] = route
    return wrong + [f"limits of {route}, which is no route" for route in sorted(settings.keys() - routes)]


def unread(resources: dict) -> list:
    """Functions that may not read the source of their mapping, or may do more or less with it than AWS names for its kind."""
    wrong = []
    for name, resource in resources.items():
        if resource["Type"] != "AWS::Lambda::EventSourceMapping":
            continue
        source, function = (named(resource["Properties"][part]) for part in ("EventSourceArn", "FunctionName"))
        role = resources[named(resources[function]["Properties"]["Role"])]
        statements = [part for policy in role["Properties"]["Policies"] for part in policy["PolicyDocument"]["Statement"]]
        statements = [part["Fn::If"][1] if "Fn::If" in part else part for part in statements]
        reads = [part for part in statements if part["Sid"] == "Consume"]
        if len(reads) != 1 or source not in str(reads[0]["Resource"]) or set(reads[0]["Action"]) != READS[resources[source]["Type"]]:
            wrong.append(f"{name}: {function} may not read {source} as AWS wants it")
    return wrong


def refs(part) -> set:
    """The resources and parameters that a part names by `!Ref`."""
    if isinstance(part, dict):
        return {part["Ref"]} if "Ref" in part else refs(list(part.values()))
    return set().union(*map(refs, part)) if isinstance(part, list) else set()


def named(value: dict) -> str:
    """The resource of `!GetAtt` or `!Ref`."""
    att = value.get("Fn::GetAtt") or value["Ref"]
    return att.split(".")[0] if isinstance(att, str) else att[0]


if __name__ == "__main__":
    sys.exit(main())
