"""The Prefect server as a child process: `python -m neotorch.orchestration.serve HOST PORT`.

It ends when its standard input does, which is when its parent has died, however that happened. Settings come from the
environment (see environment.py).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Callable[[], Awaitable[Message]], Send], Awaitable[None]]

FIRST_RETRY_SECONDS = 0.03


def main(host: str, port: int) -> None:
    """Serve until told to stop or until the parent is gone."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.setdefault("PREFECT__SERVER_FINAL", "1")
    import uvicorn
    from prefect.server.api.server import create_app

    app = SoonAgain(create_app(final=True))
    uvicorn.run(app, host=host, port=port, log_level="warning", timeout_keep_alive=60)


class SoonAgain:
    """Tells clients to try again soon after a lost write lock of SQLite's.

    Prefect's server answers 503 then, and its client waits 2 s unless the answer says otherwise. The lock is free again
    after milliseconds; each further refusal of the same request makes the wait four times as long, up to 8 s.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self._refused: Counter[tuple[Any, ...]] = Counter()

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        """Pass everything on; add `Retry-After` to 503."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        request = ((scope.get("client") or ("",))[0], scope["method"], scope["path"])

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] == 503:
                    seconds = FIRST_RETRY_SECONDS * 4 ** min(self._refused[request], 4)
                    self._refused[request] += 1
                    message["headers"] = [*message.get("headers", []), (b"retry-after", f"{seconds:.3f}".encode())]
                else:
                    self._refused.pop(request, None)
            await send(message)

        await self.app(scope, receive, answer)


def _end_with_parent() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
