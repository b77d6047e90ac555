from lfx.custom.custom_component.component import Component
from lfx.io import MessageTextInput, Output
from lfx.schema.message import Message


class FailingComponent(Component):
    """Raises, whatever it is given."""

    display_name = "Failing"
    name = "FailingComponent"
    icon = "bug"

    inputs = [
        MessageTextInput(name="input_value", display_name="Input"),
        MessageTextInput(name="reason", display_name="Reason", value="this flow always fails"),
    ]
    outputs = [Output(display_name="Message", name="message", method="answer")]

    def answer(self) -> Message:
        raise ValueError(f"{self.reason}: {self.input_value}")
