import time

from lfx.custom.custom_component.component import Component
from lfx.io import FloatInput, MessageTextInput, Output
from lfx.schema.message import Message


class BlockingComponent(Component):
    """Holds a thread while it waits, as most real components do."""

    display_name = "Blocking"
    name = "BlockingComponent"
    icon = "clock"

    inputs = [
        MessageTextInput(name="input_value", display_name="Input"),
        FloatInput(name="seconds", display_name="Seconds", value=3.0),
    ]
    outputs = [Output(display_name="Message", name="message", method="answer")]

    def answer(self) -> Message:
        time.sleep(float(self.seconds))
        return Message(text=f"blocked {float(self.seconds):g} s: {self.input_value}")
