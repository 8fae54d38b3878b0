"""Stands in for somebody else's feed: a few pages of JSON behind a cursor, for who has the token."""

import urllib.parse

import answers

TOKEN = "feed-t0ken"
HEADER = f"Bearer {TOKEN}"
PARAMETERS = {"FeedItems": "/data", "FeedCursor": "/meta/next"}


class Feed:
    """A server in a thread of its own. It answers `pages` in their order; the last one has no cursor."""

    def __init__(self, pages: list):
        self.pages = pages
        self.refused = 0
        self.url = f"{answers.Server(self.answer).url}/mentions?after={{cursor}}"

    def answer(self, path: str, headers, _body: bytes) -> tuple:
        if headers.get("Authorization") != HEADER:
            self.refused += 1
            return 401, {"error": "who are you?"}
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(path).query)
        at = int(query.get("after", ["0"])[0])
        meta = {"next": str(at + 1)} if at + 1 < len(self.pages) else {}
        return 200, {"data": self.pages[at], "meta": meta}


def deployed(outputs: dict, url: str, schedule: str, **parameters) -> dict:
    """Deploys `pull` for a feed, to be read when this schedule says, with the token in a secret, and returns the outputs. It needs a stack that is up."""
    import stack

    secrets = stack.client(outputs["EndpointUrl"], "secretsmanager")
    token = secrets.create_secret(Name="millrace-local-feed", SecretString=TOKEN)["ARN"]
    return stack.deploy(outputs["EndpointUrl"], FeedUrl=url, FeedTokenSecretArn=token, FeedSchedule=f'"{schedule}"', **PARAMETERS, **parameters)
