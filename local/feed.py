"""Stands in for somebody else's feed: a few pages of JSON behind a cursor, for who has the token."""

import http.server
import json
import threading
import urllib.parse

TOKEN = "feed-t0ken"
HEADER = f"Bearer {TOKEN}"
PARAMETERS = {"FeedItems": "/data", "FeedCursor": "/meta/next"}


class Feed:
    """A server in a thread of its own. It answers `pages` in their order; the last one has no cursor."""

    def __init__(self, pages: list):
        feed = self
        self.pages = pages
        self.refused = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if self.headers.get("Authorization") != HEADER:
                    feed.refused += 1
                    return self.answer(401, {"error": "who are you?"})
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                at = int(query.get("after", ["0"])[0])
                meta = {"next": str(at + 1)} if at + 1 < len(feed.pages) else {}
                return self.answer(200, {"data": feed.pages[at], "meta": meta})

            def answer(self, status: int, page: dict):
                body = json.dumps(page).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/mentions?after={{cursor}}"


def deployed(outputs: dict, url: str, schedule: str, **parameters) -> dict:
    """Deploys `pull` for a feed, to be read when this schedule says, with the token in a secret, and returns the outputs. It needs a stack that is up."""
    import stack

    secrets = stack.client(outputs["EndpointUrl"], "secretsmanager")
    token = secrets.create_secret(Name="millrace-local-feed", SecretString=TOKEN)["ARN"]
    return stack.deploy(outputs["EndpointUrl"], FeedUrl=url, FeedTokenSecretArn=token, FeedSchedule=f'"{schedule}"', **PARAMETERS, **parameters)
