"""Run as a script by `test_langflow_wire.py`: reads ten huge answers at once and prints how far memory grew, as JSON.

The server is a process of its own, so only the client's memory is measured.
"""

import json
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from shared.domain.outbound import AllowList
from shared.errors import FlowFailure
from shared.langflow import FlowCall, LangFlow, Stopper
from shared.langflow.connection import Network
from tests.stub_langflow import FLOWS, StubLangFlow

RUNS = 10


def peak_bytes() -> int:
    kib_or_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kib_or_bytes if sys.platform == "darwin" else kib_or_bytes * 1024


def code_of(langflow: LangFlow, flow_id: str) -> str:
    try:
        langflow.run(FlowCall(flow_id), Stopper())
    except FlowFailure as failure:
        return failure.code
    return "answered"


def main(url: str) -> None:
    langflow = LangFlow(url, "key", transport=Network(AllowList.read("127.0.0.1")))
    flow_ids = [*FLOWS][:2] * (RUNS // 2)
    before = peak_bytes()
    with ThreadPoolExecutor(RUNS) as pool:
        codes = list(pool.map(lambda flow_id: code_of(langflow, flow_id), flow_ids))
    sys.stdout.write(json.dumps({"codes": codes, "grown_bytes": peak_bytes() - before}))


if __name__ == "__main__":
    command = [sys.executable, "-m", "tests.stub_langflow", "--mode", "huge"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        stub = StubLangFlow()
        stub.url = f"http://127.0.0.1:{json.loads(server.stdout.readline())['port']}"
        stub.set("bomb", flow_id=[*FLOWS][1])
        main(stub.url)
        server.terminate()
