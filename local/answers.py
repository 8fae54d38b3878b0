"""Stands in for services of others: a server of JSON on this machine, in a thread of its own."""

import http.server
import json
import threading

HANGS_S = 60  # at the most


class Server:
    """`answer(path, headers, body)` gives the status and the JSON of each request; where it gives nothing, nothing is said until who asked
    hangs up. It listens on a free port, at `url`."""

    def __init__(self, answer):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                heard = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                told = answer(self.path, self.headers, heard)
                if told is None:
                    self.connection.settimeout(HANGS_S)
                    self.rfile.read(1)
                    self.close_connection = True
                    return
                status, found = told
                body = json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
