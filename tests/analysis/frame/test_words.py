"""What summaries are made of, and how they are printed."""

from analysis.frame.words import Advice, Answer, Heading, counted, lines, part, were


def test_a_part_begins_with_its_answer_and_ends_with_advice():
    found = part("Title", ["One.", "Two."], answer="So it is.", advice="do that.")
    assert found == ["Title", "So it is.", "One.", "Two.", "do that."]
    assert [type(each) for each in found] == [Heading, Answer, str, str, Advice]


def test_what_is_not_borne_out_is_not_said():
    assert part("Title", ["One."]) == ["Title", "One."]


def test_a_summary_in_print():
    said = [Heading("GRU:"), "First.", *part("A", ["One."], advice="do that."), *part("B", [])]
    assert lines(said) == ["GRU:", "First.", "", "A", "One.", "Advice: do that.", "", "B"]
    assert lines(["One.", Heading("A")]) == ["One.", "", "A"]
    assert lines([]) == []
    assert all(type(each) is str for each in lines(said))


def test_one_is_no_plural():
    assert [counted(n, "network") for n in (0, 1, 2)] == ["0 networks", "1 network", "2 networks"]
    assert [were(n) for n in (1, 2)] == ["was", "were"]
