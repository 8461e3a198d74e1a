from rich.text import Text

from meshinfer.cli.columns import Column, line, titles, total, widths

COLUMNS = (Column("peer", most=6), Column("size", is_number=True), Column(""))


def test_cells_stand_in_columns_by_what_a_screen_shows() -> None:
    rows = [[Text("日本"), Text("9"), Text("x")], [Text("a-long-name"), Text("1234567"), Text("")]]
    each = widths(COLUMNS, rows)
    assert (each, total(each)) == ([6, 7, 1], 18)
    assert [line(COLUMNS, each, row).plain for row in rows] == ["日本          9  x", "a-lon…  1234567"]
    assert titles(COLUMNS, each, "dim").plain == "peer       size"
