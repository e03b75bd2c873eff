from __future__ import annotations

from typing import Any

from tools.demo.kernel import PendingCell, collect_output


def _message(kind: str, **content: Any) -> dict[str, Any]:
    return {"msg_type": kind, "content": content}


def _data(text: str) -> dict[str, str]:
    return {"text/plain": text}


def test_stream_text_of_one_name_is_joined():
    cell = PendingCell()
    for name, text in (("stdout", "a"), ("stdout", "b"), ("stderr", "c")):
        collect_output(cell, _message("stream", name=name, text=text), {})

    assert [(output.name, output.text) for output in cell.outputs] == [
        ("stdout", "ab"),
        ("stderr", "c"),
    ]


def test_an_update_replaces_the_display_in_whichever_cell_it_stands():
    displays = {}
    first, second = PendingCell(), PendingCell()
    transient = {"display_id": "progress"}
    shown = _message("display_data", data=_data("1 %"), metadata={}, transient=transient)
    collect_output(first, shown, displays)
    update = _message("update_display_data", data=_data("100 %"), metadata={}, transient=transient)
    collect_output(second, update, displays)

    assert first.outputs[0].data == _data("100 %")
    assert "transient" not in first.outputs[0]
    assert second.outputs == []


def test_a_waiting_clear_acts_with_the_next_output():
    cell = PendingCell()
    collect_output(cell, _message("stream", name="stdout", text="old"), {})
    collect_output(cell, _message("clear_output", wait=True), {})
    assert cell.outputs[0].text == "old"

    collect_output(cell, _message("stream", name="stdout", text="new"), {})
    assert [output.text for output in cell.outputs] == ["new"]


def test_messages_that_are_no_output_leave_none():
    cell = PendingCell()
    collect_output(cell, _message("execute_input", code="1", execution_count=1), {})
    assert cell.outputs == []
