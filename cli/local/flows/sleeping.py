import asyncio

from lfx.custom.custom_component.component import Component
from lfx.io import FloatInput, MessageTextInput, Output
from lfx.schema.message import Message


class SleepingComponent(Component):
    """Waits without holding a thread, then passes the text on."""

    display_name = "Sleeping"
    name = "SleepingComponent"
    icon = "clock"

    inputs = [
        MessageTextInput(name="input_value", display_name="Input"),
        FloatInput(name="seconds", display_name="Seconds", value=5.0),
    ]
    outputs = [Output(display_name="Message", name="message", method="answer")]

    async def answer(self) -> Message:
        await asyncio.sleep(float(self.seconds))
        return Message(text=f"slept {float(self.seconds):g} s: {self.input_value}")
