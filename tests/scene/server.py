"""A local HTTP server that serves ranges of files, counts bytes, and may drop connections."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Log:
    """What was asked for and sent."""

    address: str = ""
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path and range."""
    sent_bytes: int = 0
    dropped: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def serve(folder: Path, *, drop_every: int = 0, ranges: bool = True) -> Iterator[Log]:
    """Serve a folder; one of `drop_every` requests is cut off, in turn before and amid the body."""
    log = Log()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            asked = self.headers.get("Range") if ranges else None
            with log.lock:
                log.requests.append((self.command, self.path, asked))
                drop = drop_every > 0 and len(log.requests) % drop_every == 0
                log.dropped += drop
                early = log.dropped % 2 == 0
            if drop and (early or not body):
                self.close_connection = True
                self.connection.close()
                return
            path = folder / self.path.partition("?")[0].lstrip("/")
            if not path.is_file():
                self.send_error(404)
                return
            data = path.read_bytes()
            first, last = 0, len(data) - 1
            if asked and (found := re.fullmatch(r"bytes=(\d+)-(\d*)", asked)):
                first, last = int(found[1]), min(last, int(found[2] or last))
            if first > last:
                self.send_error(416)
                return
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
            part = data[first : last + 1]
            self.send_header("Content-Length", str(len(part)))
            self.send_header("Accept-Ranges", "bytes" if ranges else "none")
            self.send_header("ETag", f'"{path.stat().st_mtime_ns}"')
            self.send_header("Last-Modified", formatdate(path.stat().st_mtime, usegmt=True))
            self.end_headers()
            if body:
                part = part[: len(part) // 2] if drop else part
                self.wfile.write(part)
                with log.lock:
                    log.sent_bytes += len(part)
            if drop:
                self.close_connection = True
                self.wfile.flush()
                self.connection.close()

        def log_message(self, *_: object) -> None:
            """Quietly."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    log.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield log
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
