"""Headless Chromium, spoken to by its own protocol over two pipes: no package is needed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

PROGRAMS = ('chromium', 'chromium-browser', 'google-chrome')
FLAGS = (
    '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars '
    '--disable-background-networking --disable-component-update --disable-sync '
    '--remote-debugging-pipe'
).split()


def find_browser() -> str | None:
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Browser:
    """One page, seen at a width of our choice, on a screen or in print; a context manager."""

    def __init__(self, program: str) -> None:
        self.profile = tempfile.mkdtemp()
        reads, self.to = os.pipe()
        self.back, writes = os.pipe()

        def be_three_and_four() -> None:
            """Chromium reads commands from 3 and answers on 4."""
            high = os.dup(reads), os.dup(writes)
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            [program, *FLAGS, f'--user-data-dir={self.profile}'],
            preexec_fn=be_three_and_four,
            close_fds=False,
            stderr=subprocess.DEVNULL,
        )
        os.close(reads)
        os.close(writes)
        self.answers = os.fdopen(self.back, 'rb')
        self.number, self.pending, self.session = 0, b'', {}

    def __enter__(self) -> Browser:
        target = self.call('Target.createTarget', url='about:blank')['targetId']
        found = self.call('Target.attachToTarget', targetId=target, flatten=True)
        self.session = {'sessionId': found['sessionId']}
        self.call('Page.enable')
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.to)
        self.answers.close()
        shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self.number += 1
        message = {'id': self.number, 'method': method, 'params': params, **self.session}
        os.write(self.to, json.dumps(message).encode() + b'\0')
        while (answer := self._next()).get('id') != self.number:
            pass
        assert 'error' not in answer, answer
        return answer['result']

    def _next(self) -> dict[str, Any]:
        while b'\0' not in self.pending:
            data = self.answers.read1(1 << 16)
            assert data, 'Chromium has ended'
            self.pending += data
        message, _, self.pending = self.pending.partition(b'\0')
        return json.loads(message)

    def open(self, page: Path, width: int, media: str = 'screen') -> None:
        size = dict(width=width, height=800, deviceScaleFactor=1, mobile=False)
        self.call('Emulation.setDeviceMetricsOverride', **size)
        self.call('Emulation.setEmulatedMedia', media=media)
        self.call('Page.navigate', url=page.resolve().as_uri())
        while self._next().get('method') != 'Page.loadEventFired':
            pass

    def evaluate(self, expression: str) -> Any:
        found = self.call('Runtime.evaluate', expression=expression, returnByValue=True)
        assert 'exceptionDetails' not in found, found
        return found['result'].get('value')
