from lfx.custom.custom_component.component import Component
from lfx.io import IntInput, MessageTextInput, Output
from lfx.schema.message import Message


class BigComponent(Component):
    """Answers N KiB of text."""

    display_name = "Big"
    name = "BigComponent"
    icon = "box"

    inputs = [
        MessageTextInput(name="input_value", display_name="Input"),
        IntInput(name="kib", display_name="KiB", value=256),
    ]
    outputs = [Output(display_name="Message", name="message", method="answer")]

    def answer(self) -> Message:
        return Message(text="x" * 1024 * int(self.kib))
