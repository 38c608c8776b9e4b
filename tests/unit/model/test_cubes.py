"""Cubes that grew: what builds of before have of them."""

from footfall.model.cubes import CUBES, MEASURES, VALUES, Cube

GROWN = Cube("c", "day", ("a", "b"), ("events", "x", "y"), added=(("x",), ("b", "y")))


def test_a_build_answers_for_what_it_was_made_with():
    assert GROWN.label == "c.3"
    assert GROWN.in_build(["other", "c.3"], {"a", "b", "x", "y"})
    assert GROWN.in_build(["c.2"], {"a", "x", "events"})
    assert not GROWN.in_build(["c.2"], {"b"})
    assert not GROWN.in_build(["c.2"], {"x", "y"})
    assert GROWN.in_build(["c"], {"a", "events"})
    assert not GROWN.in_build(["c"], {"x"})
    assert not GROWN.in_build(["cc.3", "d"], ())


def test_of_builds_together_the_oldest_counts():
    assert GROWN.oldest_of([["c.3"], ["c"], ["c.2"]]) == "c"
    assert GROWN.oldest_of([["c.3"], ["c.2", "d"]]) == "c.2"
    assert GROWN.oldest_of([["c.3"], ["d"]]) is None


def test_every_cube_fits_the_table_and_says_what_it_added():
    for cube in CUBES:
        assert len([field for field in cube.fields if field != "link_id"]) <= len(VALUES)
        assert set(cube.measures) <= set(MEASURES)
        for each in cube.added:
            assert set(each) <= {*cube.fields, *cube.measures}
            fields = [field for field in each if field in cube.fields]
            assert tuple(cube.fields[len(cube.fields) - len(fields) :]) == tuple(fields)
    assert len({cube.label for cube in CUBES}) == len(CUBES)
