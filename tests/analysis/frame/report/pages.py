"""A page as a browser's parser sees it: its tags in order, and the texts in them."""

from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "input"}


class Tag:
    def __init__(self, name, attributes, parents):
        self.name, self.attributes, self.parents = name, attributes, parents
        self.text = ""


class Parsed(HTMLParser):
    """`tags` in the order of the page; each knows its parents and all text within it."""

    def __init__(self, page):
        super().__init__()
        self.tags, self._open, self.comments = [], [], []
        self.feed(page)
        assert not self._open, "all that is opened is closed"

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs), "an attribute occurs once"
        self.tags.append(Tag(tag, dict(attrs), tuple(self._open)))
        if tag not in VOID:
            self._open.append(self.tags[-1])

    def handle_startendtag(self, tag, attrs):
        self.tags.append(Tag(tag, dict(attrs), tuple(self._open)))

    def handle_endtag(self, tag):
        assert self._open.pop().name == tag

    def handle_data(self, data):
        for tag in self._open:
            tag.text += data

    def handle_comment(self, data):
        self.comments.append(data)

    def all(self, name, **attributes):
        """The tags of a name, with these attributes."""
        found = [tag for tag in self.tags if tag.name == name]
        return [t for t in found if attributes.items() <= t.attributes.items()]

    def one(self, name, **attributes):
        (tag,) = self.all(name, **attributes)
        return tag

    def within(self, tag):
        return [each for each in self.tags if tag in each.parents]
