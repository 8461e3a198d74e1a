import pytest

from meshinfer.api.errors import ApiError
from meshinfer.api.schemas import arguments_schema, check_choice, schema_constraint, unique_tools
from meshinfer.api.tools import Tool, ToolChoice, ToolMode
from meshinfer.messages import MAX_CONSTRAINT_BYTES


def test_arguments_are_an_object_with_properties() -> None:
    assert arguments_schema({}, "p") == '{"properties":{},"type":"object"}'
    assert arguments_schema({"properties": {"b": {}, "a": {}}}, "p") == (
        '{"properties":{"b":{},"a":{}},"type":"object"}'
    )
    with pytest.raises(ApiError, match=r"p\.type should be 'object', not 'string'") as refused:
        arguments_schema({"type": "string"}, "p")
    assert refused.value.param == "p.type"


def test_a_schema_that_is_too_long_is_refused() -> None:
    with pytest.raises(ApiError, match="format cannot be taken: a grammar of") as refused:
        schema_constraint({"description": "x" * MAX_CONSTRAINT_BYTES}, "format")
    assert refused.value.param == "format"


def test_a_tools_name_stands_there_once() -> None:
    assert unique_tools([Tool("a"), Tool("b")]) == (Tool("a"), Tool("b"))
    with pytest.raises(ApiError, match=r"tools\[1\]\.name 'a' stands there twice"):
        unique_tools([Tool("a"), Tool("a")])


@pytest.mark.parametrize(
    ("choice", "tools", "is_fine"),
    [
        (ToolChoice(), (), True),
        (ToolChoice(ToolMode.REQUIRED), (Tool("a"),), True),
        (ToolChoice(ToolMode.REQUIRED), (), False),
        (ToolChoice(ToolMode.NAMED, "a"), (Tool("a"),), True),
        (ToolChoice(ToolMode.NAMED, "b"), (Tool("a"),), False),
    ],
)
def test_what_must_be_called_must_be_there(
    choice: ToolChoice, tools: tuple[Tool, ...], is_fine: bool
) -> None:
    if is_fine:
        check_choice(choice, tools)
    else:
        with pytest.raises(ApiError):
            check_choice(choice, tools)
