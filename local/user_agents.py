"""Tells how often `filter.bots` and `enrich.user_agent` agree with lists of user agents and with others who read them.

Bots are those of crawler-user-agents; people are the browsers that fake-useragent has counted. The others are uap-core
(ua-parser) and woothee. Where names differ for the same thing (`Mobile Safari`, `Mac OS X`), they are made alike.

    python3 -m venv target/agents && target/agents/bin/pip install -r local/requirements-agents.txt
    cargo build --release -p millrace-cli && target/agents/bin/python local/user_agents.py target/release/millrace
"""

import importlib.resources
import json
import pathlib
import subprocess
import sys
import tempfile
from collections import Counter

import ua_parser
import woothee

PIPELINE = """
[event]
id = "id"
type = "type"
time = "time"

[[step]]
enrich.user_agent = { from = "ua", into = "agent" }
"""

# Names of theirs, and ours for the same.
BROWSERS = {
    "Mobile Safari": "Safari", "Chrome Mobile": "Chrome", "Chrome Mobile iOS": "Chrome", "Firefox Mobile": "Firefox", "Firefox iOS": "Firefox",
    "Edge Mobile": "Edge", "Opera Mobile": "Opera", "Opera Touch": "Opera", "Chrome Mobile WebView": "Android WebView", "Google": "Google App",
    "Mobile Safari UI/WKWebView": "iOS WebView", "Yandex": "Yandex Browser", "IE": "Internet Explorer", "DuckDuckGo Mobile": "DuckDuckGo",
    "MiuiBrowser": "Mi Browser", "QQ Browser Mobile": "QQ Browser", "Whale": "Whale",
}  # fmt: skip
SYSTEMS = {"Mac OS X": "macOS", "Mac OSX": "macOS", "Ubuntu": "Linux", "Fedora": "Linux", "Windows 10": "Windows"}
DEVICES = {"pc": "desktop", "desktop": "desktop", "smartphone": "mobile", "mobile": "mobile", "mobilephone": "mobile", "tablet": "tablet", "crawler": "bot"}


def lists():
    """The bots, and the browsers with what their list says of them."""
    crawlers = importlib.resources.files("crawleruseragents") / "crawler-user-agents.json"
    bots = [ua for entry in json.loads(crawlers.read_text()) for ua in entry["instances"]]
    browsers = importlib.resources.files("fake_useragent") / "data" / "browsers.jsonl"
    people = {row["useragent"]: row for row in map(json.loads, browsers.read_text().splitlines())}
    return list(dict.fromkeys(bots)), people


def millrace(command, agents):
    """What `enrich.user_agent` says of each."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "pipeline.toml").write_text(PIPELINE)
        events = ({"id": str(at), "type": "t", "time": 1790000000, "ua": ua} for at, ua in enumerate(agents))
        (folder / "in.ndjson").write_text("".join(json.dumps(event) + "\n" for event in events))
        run = [command, "run", "--pipeline", "pipeline.toml", "--in", "in.ndjson", "--out", "out", "--format", "ndjson"]
        subprocess.run(run, cwd=folder, check=True, capture_output=True)
        lines = [json.loads(line) for file in (folder / "out").glob("*.ndjson") for line in file.read_text().splitlines()]
    told = {line["ua"]: line.get("agent", {}) for line in lines}
    assert len(told) == len(set(agents)), "an event is missing"
    return told


def share(what, hits, of):
    print(f"{what:<58} {100 * hits / of:5.1f} %  ({hits} of {of})")


def alike(what, pairs):
    pairs = [pair for pair in pairs if all(pair)]
    share(what, sum(ours == theirs for ours, theirs in pairs), len(pairs))
    for (ours, theirs), count in Counter(pair for pair in pairs if pair[0] != pair[1]).most_common(3):
        print(f"    {count:5} {ours} here, {theirs} there")


def theirs(names, part):
    return part and names.get(part.family, part.family)


def main():
    bots, people = lists()
    told = millrace(sys.argv[1], [*bots, *people])
    share("bots of crawler-user-agents that are bots here", sum(told[ua].get("device") == "bot" for ua in bots), len(bots))
    share("people of fake-useragent that are bots here", sum(told[ua].get("device") == "bot" for ua in people), len(people))
    share("bots of crawler-user-agents that are crawlers to woothee", sum(woothee.parse(ua)["category"] == "crawler" for ua in bots), len(bots))
    spiders = [parsed.device for parsed in map(ua_parser.parse, bots) if parsed.device and parsed.device.family == "Spider"]
    share("bots of crawler-user-agents that are spiders to uap-core", len(spiders), len(bots))

    uap = {ua: ua_parser.parse(ua) for ua in people}
    alike("browser, with uap-core", [(told[ua].get("browser"), theirs(BROWSERS, uap[ua].user_agent)) for ua in people])
    alike("system, with uap-core", [(told[ua].get("os"), theirs(SYSTEMS, uap[ua].os)) for ua in people])
    alike("device, with fake-useragent", [(told[ua].get("device"), DEVICES.get(people[ua]["type"])) for ua in people])
    alike("device, with woothee", [(told[ua].get("device"), DEVICES.get(woothee.parse(ua)["category"])) for ua in people])


if __name__ == "__main__":
    main()
