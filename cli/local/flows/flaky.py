import lfx
from lfx.custom.custom_component.component import Component
from lfx.io import IntInput, MessageTextInput, Output
from lfx.schema.message import Message


class FlakyComponent(Component):
    """Fails the first N times it meets an input, then answers. Counts live as long as the server."""

    display_name = "Flaky"
    name = "FlakyComponent"
    icon = "dices"

    inputs = [
        MessageTextInput(name="input_value", display_name="Input"),
        IntInput(name="failures", display_name="Failures", value=1),
    ]
    outputs = [Output(display_name="Message", name="message", method="answer")]

    def answer(self) -> Message:
        # LangFlow executes this module anew for every run, so the counts hang on a module that stays.
        counts = vars(lfx).setdefault("_flaky_counts", {})
        counts[self.input_value] = counts.get(self.input_value, 0) + 1
        if counts[self.input_value] <= int(self.failures):
            raise ValueError(f"attempt {counts[self.input_value]} fails on purpose: {self.input_value}")
        return Message(text=f"attempt {counts[self.input_value]} works: {self.input_value}")
