"""The list of paragraphs that Pythons share: how it is made, and that parts share nothing.

``python tests/tasks/test_paragraphs.py`` prints the list anew, where the Pythons of `VERSIONS` are.
"""

import difflib
import hashlib
import json
import shutil
import subprocess
import sys
import zlib
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from rnnsim.tasks import paragraphs, sentence_classes

VERSIONS = ("3.11.2", "3.11.7", "3.12.1", "3.13.0")
# Topics of the smaller parts of the text, whole families of them (`families`).
VALIDATION = """attribute-references bitwise bltin-type-objects booleans del dict dynamic-features
    exceptions execmodel global lists naming nonlocal pass shifting typesmapping unary yield"""
TEST = """assert binary bltin-ellipsis-object bltin-null-object break continue import objects power
    return slicings truth typesfunctions typesmodules"""
COPY = 50  # characters that two parts must not share
NEAR = 0.8  # of two sentences: `difflib`'s ratio above which they go to one part
TOPICS = "import json; from pydoc_data.topics import topics; print(json.dumps(topics))"


class Families:
    """Things that belong together, directly or by way of others."""

    def __init__(self, things):
        self.head = {thing: thing for thing in things}

    def of(self, thing):
        while self.head[thing] != thing:
            thing = self.head[thing]
        return thing

    def join(self, things):
        heads = sorted({self.of(thing) for thing in things})
        self.head |= dict.fromkeys(heads, heads[0])


def sharing(texts):
    """Groups of texts that share `COPY` characters in a row."""
    found = defaultdict(set)
    for text in texts:
        for i in range(len(text) - COPY + 1):
            found[text[i : i + COPY]].add(text)
    return {frozenset(group) for group in found.values() if len(group) > 1}


def near_copies(sentences):
    """Pairs of sentences with a ratio above `NEAR`; counts of characters bound it from above."""
    letters = sorted(set("".join(sentences)))
    counts = np.array([[s.count(letter) for letter in letters] for s in sentences], np.int16)
    lengths = np.array([len(s) for s in sentences])
    for i, one in enumerate(sentences):
        bound = 2 * np.minimum(counts[i], counts[i + 1 :]).sum(axis=1)
        for j in np.flatnonzero(bound > NEAR * (lengths[i] + lengths[i + 1 :])) + i + 1:
            if difflib.SequenceMatcher(None, one, sentences[j], autojunk=False).ratio() > NEAR:
                yield one, sentences[j]


def families_of_topics(topics_of):
    """Topics that share a paragraph or `COPY` characters of one."""
    families = Families(sorted(set().union(*topics_of.values())))
    for topics in topics_of.values():
        families.join(topics)
    for texts in sharing(topics_of):
        families.join(set().union(*(topics_of[text] for text in texts)))
    return families


def families_of_paragraphs(topics_of):
    """Paragraphs with a sentence that is one of the other, nearly, or shares `COPY` characters."""
    families, places = Families(sorted(topics_of)), defaultdict(list)
    for text in sorted(topics_of):
        for sentence in sentence_classes._split(text):
            places[sentence].append(text)
    for group in [[sentence] for sentence in places] + [*near_copies(sorted(places))]:
        families.join(text for sentence in group for text in places[sentence])
    for group in sharing(places):
        families.join(text for sentence in group for text in places[sentence])
    return families


def part_of_text(topics):
    """The part that these topics go to."""
    (part,) = {
        "validation" if t in VALIDATION.split() else "test" if t in TEST.split() else "train"
        for t in topics
    }
    return part


def made(versions):
    """The lines of the list, from the topics of each version; the first one gives the order.

    A paragraph of the list stands in all versions; its topics are those of any of them.
    """
    found = [paragraphs.topics_of_paragraphs(topics) for topics in versions]
    shared = [text for text in found[0] if all(text in one for one in found)]
    topics_of = {text: sorted(set().union(*(one[text] for one in found))) for text in shared}
    families = families_of_paragraphs(topics_of)
    for text, topics in topics_of.items():
        tenth = zlib.crc32(families.of(text).encode()) % 10
        sentences = {0: "test", 1: "validation"}.get(tenth, "train")
        name = paragraphs.short_hash(text)
        yield f"{name} {part_of_text(topics)} {sentences} {','.join(topics)}"


def interpreters():
    """Where Pythons may be: on the path, and where pyenv keeps them."""
    names = [shutil.which(name) for name in ("python3.11", "python3.12", "python3.13")]
    usual = [Path("/usr/bin/python3"), *Path.home().glob(".pyenv/versions/*/bin/python3")]
    named = [Path(name) for name in [*names, *usual, sys.executable] if name]
    return {path.resolve() for path in named if path.exists()}


def topics_by_version():
    """The topics of those of `VERSIONS` that are on this machine."""
    found = {}
    for python in sorted(interpreters()):
        version = version_of(python)
        if version in VERSIONS and version not in found:
            said = subprocess.run([python, "-c", TOPICS], capture_output=True, check=True)
            found[version] = json.loads(said.stdout)
    return found


def version_of(python):
    said = subprocess.run([python, "-V"], capture_output=True, text=True, check=False)
    return said.stdout.removeprefix("Python ").strip()


@pytest.fixture(scope="module")
def listed():
    return [line.split() for line in paragraphs._list().splitlines()]


def test_the_list_is_what_the_four_pythons_make():
    """Made anew from all of them, where they are on this machine."""
    by_version = topics_by_version()
    if missing := set(VERSIONS) - by_version.keys():
        pytest.skip(f"needs the help topics of Python {', '.join(sorted(missing))} too")
    lines = list(made([by_version[version] for version in VERSIONS]))
    assert lines == paragraphs._list().splitlines()
    known = paragraphs.topics_of_paragraphs(by_version[VERSIONS[0]])
    names = {line.split()[0] for line in lines}
    texts = [text for text in known if paragraphs.short_hash(text) in names]
    assert (len(texts), sum(map(len, texts))) == (1164, 251_753)


# The packages themselves are not run: they need NumPy.
READ = """
import hashlib, sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
for name in ("rnnsim", "rnnsim.tasks"):
    folder = sys.argv[1] + "/" + name.replace(".", "/")
    spec = ModuleSpec(name, SourceFileLoader(name, folder + "/__init__.py"), is_package=True)
    spec.submodule_search_locations.append(folder)
    sys.modules[name] = module_from_spec(spec)
from rnnsim.tasks.paragraphs import reference
print(hashlib.sha256(repr(reference()).encode()).hexdigest())
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_the_text_is_the_same_under_every_python(version):
    """The module needs nothing but the standard library: another Python reads it as it stands."""
    pythons = [p for p in interpreters() if version_of(p) == version]
    if not pythons:
        pytest.skip(f"needs Python {version}")
    root = Path(paragraphs.__file__).parents[2]
    command = [pythons[0], "-W", "error", "-c", READ, str(root)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    ours = hashlib.sha256(repr(paragraphs.reference()).encode()).hexdigest()
    assert run.stdout.strip() == ours


def test_this_python_has_all_of_the_list(listed):
    found, share = paragraphs.reference()
    assert [paragraphs.short_hash(p.text) for p in found] == [name for name, *_ in listed]
    assert share == "1164 of 1164 paragraphs"
    assert len({p.text for p in found}) == 1164
    assert sum(len(p.text) for p in found) == 251_753
    assert min(len(p.text) for p in found) > 60


def test_topics_go_whole_to_a_part(listed):
    parts = defaultdict(set)
    for _, part, _, topics in listed:
        for topic in topics.split(","):
            parts[topic].add(part)
    assert all(len(found) == 1 for found in parts.values())
    assert {part for (part,) in parts.values()} == {"train", "validation", "test"}


def test_the_parts_are_about_eight_one_and_one_tenths():
    sizes = defaultdict(int)
    for paragraph in paragraphs.reference().paragraphs:
        sizes[paragraph.part] += len(paragraph.text) / 251_753
    assert sizes["train"] == pytest.approx(0.8, abs=0.03)
    assert sizes["validation"] == pytest.approx(0.1, abs=0.02)
    assert sizes["test"] == pytest.approx(0.1, abs=0.02)


def lacking(monkeypatch, dropped):
    """This Python without some paragraphs; everything that was read before is forgotten."""
    topics = {}
    for i, paragraph in enumerate(paragraphs.reference().paragraphs):
        if i not in dropped:
            topics[f"topic {i}"] = f"Other words.\n\n{paragraph.text}\n"
    monkeypatch.setattr("pydoc_data.topics.topics", topics)
    return paragraphs.reference.__wrapped__


def test_a_python_that_lacks_some_says_which_share(monkeypatch):
    whole = paragraphs.reference().paragraphs
    read = lacking(monkeypatch, {3, 700})
    with pytest.warns(UserWarning, match=r"this Python has 1162 of 1164 paragraphs of the text"):
        found, share = read()
    assert share == "1162 of 1164 paragraphs"
    assert found == [p for i, p in enumerate(whole) if i not in {3, 700}]


def test_where_topics_stand_does_not_count(monkeypatch):
    read = lacking(monkeypatch, set())
    assert read() == paragraphs.reference()


@pytest.mark.parametrize("topics", [{}, {"types": "Nothing that is on the list. " * 9}])
def test_a_python_without_any_says_what_to_do(monkeypatch, topics):
    monkeypatch.setattr("pydoc_data.topics.topics", topics)
    with pytest.raises(ValueError, match=r"has 0 of 1164 paragraphs .* with text=PATH"):
        paragraphs.reference.__wrapped__()


def test_a_python_without_help_topics_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(ValueError, match=r"has 0 of 1164 paragraphs .* with text=PATH"):
        paragraphs.reference.__wrapped__()


def test_paragraphs_are_folded_at_blank_lines():
    text = "\n\n  one  two\n\tthree\n \t\nfour\n\n\n"
    assert list(paragraphs.folded(text)) == ["one two three", "four"]
    sixty, more = "x" * 60, "y" * 61
    topics = {"b": f"{more}\n\n{more}", "a": f"{sixty}\n\n{more}"}
    assert paragraphs.topics_of_paragraphs(topics) == {more: ["a", "b"]}


if __name__ == "__main__":
    by_version = topics_by_version()
    print("\n".join(made([by_version[version] for version in VERSIONS])))
