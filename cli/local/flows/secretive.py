from lfx.custom.custom_component.component import Component
from lfx.io import MessageTextInput, Output, SecretStrInput
from lfx.schema.message import Message


class SecretiveComponent(Component):
    """Proves that it received its credential by answering the credential's length, never its text."""

    display_name = "Secretive"
    name = "SecretiveComponent"
    icon = "key"

    inputs = [
        MessageTextInput(name="input_value", display_name="Input"),
        SecretStrInput(name="api_key", display_name="API Key", value="", required=False),
    ]
    outputs = [Output(display_name="Message", name="message", method="answer")]

    def answer(self) -> Message:
        key = self.api_key or ""
        text = key.get_secret_value() if hasattr(key, "get_secret_value") else key
        return Message(text=f"a key of {len(text)} characters: {self.input_value}")
