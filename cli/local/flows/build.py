"""Writes the demo and test flows as LangFlow exports: `python build.py DIRECTORY`, with an interpreter that has lfx.

A script, not a module of Spark: it runs in the engine's environment and knows nothing of ours. The files are generated
and never committed, so they always suit the installed LangFlow.
"""

import hashlib
import json
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from big import BigComponent
from blocking import BlockingComponent
from failing import FailingComponent
from flaky import FlakyComponent
from lfx.components.input_output import (
    ChatInput,
    ChatOutput,
    TextInputComponent,
    TextOutputComponent,
    WebhookComponent,
)
from lfx.components.models_and_agents import PromptComponent
from lfx.custom.custom_component.component import Component
from lfx.graph import Graph
from secretive import SecretiveComponent
from sleeping import SleepingComponent

GLOBAL_VARIABLE = "MY_API_KEY"  # the global variable that the secret flow reads
SECOND_OUTPUT = "ChatOutput-two02"

Flow = dict[str, Any]


def flows() -> Iterator[Flow]:
    """Every flow once. Component ids are stable: `ChatInput-in001`, `<Component>-mid01`, `ChatOutput-out01`, …"""
    yield export("echo", "Answers what it is asked.", echo())
    yield export("text", "Text input, prompt, text output.", text())
    yield export("webhook", "Answers the JSON that its webhook received.", webhook())
    yield export("fail", "Always fails.", chat(FailingComponent))
    yield export("flaky", "Fails once per input, then works.", chat(FlakyComponent))
    yield export("slow", "Sleeps five seconds.", chat(SleepingComponent))
    yield export("block", "Holds a thread for three seconds.", chat(BlockingComponent))
    yield export("big", "Answers 256 KiB.", chat(BigComponent))
    yield bind_secret(export("secret", "Needs a credential.", chat(SecretiveComponent)))
    yield add_second_output(export("multi", "Answers twice.", echo()))


def echo() -> Graph:
    source, sink = ChatInput(_id="ChatInput-in001"), ChatOutput(_id="ChatOutput-out01")
    sink.set(input_value=source.message_response)
    return Graph(source, sink)


def chat(middle: type[Component]) -> Graph:
    """Chat input → one component of ours → chat output."""
    source, sink = ChatInput(_id="ChatInput-in001"), ChatOutput(_id="ChatOutput-out01")
    component = middle(_id=f"{middle.name}-mid01")
    component.set(input_value=source.message_response)
    sink.set(input_value=component.answer)
    return Graph(source, sink)


def text() -> Graph:
    source, sink = TextInputComponent(_id="TextInput-in001"), TextOutputComponent(_id="TextOutput-out01")
    prompt = PromptComponent(_id="Prompt-mid01")
    source.set(input_value="nobody")
    prompt.set(template="Hello {who}!", who=source.text_response)
    sink.set(input_value=prompt.build_prompt)
    return Graph(source, sink)


def webhook() -> Graph:
    source, sink = WebhookComponent(_id="Webhook-in001"), ChatOutput(_id="ChatOutput-out01")
    sink.set(input_value=source.build_data)
    return Graph(source, sink)


def export(name: str, description: str, graph: Graph) -> Flow:
    """`graph` as the UI's export button writes it: nodes with places, edges with their handles as quoted text."""
    dumped = json.loads(json.dumps(graph.dump(), default=str))
    data = dumped["data"]
    return {
        "id": flow_id(name),
        "name": f"Spark {name.capitalize()}",
        "description": description,
        "endpoint_name": f"spark-{name}",
        "tags": ["spark"],
        "is_component": False,
        "locked": False,
        "data": {
            "nodes": [place(node, column) for column, node in enumerate(data["nodes"])],
            "edges": [draw(edge) for edge in data["edges"]],
            "viewport": {"x": 0, "y": 0, "zoom": 1},
        },
    }


def flow_id(name: str) -> str:
    """Always the same id for a name. Version 4 by look: LangFlow keeps version 5 for its public flows."""
    return str(uuid.UUID(bytes=hashlib.sha256(f"spark-{name}".encode()).digest()[:16], version=4))


def place(node: Flow, column: int) -> Flow:
    return {**node, "type": "genericNode", "position": {"x": 400 * column, "y": 0}}


def draw(edge: Flow) -> Flow:
    source, target = quoted(edge["data"]["sourceHandle"]), quoted(edge["data"]["targetHandle"])
    ends = f"{edge['source']}{source}-{edge['target']}{target}"
    return {**edge, "id": f"reactflow__edge-{ends}", "sourceHandle": source, "targetHandle": target}


def quoted(handle: Flow) -> str:
    """JSON with œ for every quotation mark: how the LangFlow editor names a handle."""
    return json.dumps(handle, separators=(",", ":")).replace('"', "œ")


def bind_secret(flow: Flow) -> Flow:
    """The credential field reads a global variable, as the editor's globe button arranges it."""
    for node in flow["data"]["nodes"]:
        field = node["data"]["node"]["template"].get("api_key")
        if field:
            field.update(value=GLOBAL_VARIABLE, load_from_db=True)
    return flow


def add_second_output(flow: Flow) -> Flow:
    """A copy of the chat output and of the edge into it. (A graph loses edges that are added after it was built.)"""
    nodes, edges = flow["data"]["nodes"], flow["data"]["edges"]
    first = next(node for node in nodes if node["id"].startswith("ChatOutput"))
    nodes.append(renamed(first, first["id"]))
    edges.append(renamed(edges[0], first["id"]))
    return flow


def renamed(part: Flow, old_id: str) -> Flow:
    copy: Flow = json.loads(json.dumps(part).replace(old_id, SECOND_OUTPUT))
    return copy


def main(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for flow in flows():
        path = directory / f"{flow['endpoint_name']}.json"
        path.write_text(json.dumps(flow, ensure_ascii=False, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
