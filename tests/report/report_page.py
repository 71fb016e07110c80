"""A page as a test reads it: tags with their attributes, and the text that is shown."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """Tags with their attributes, and the text that is shown."""

    def __init__(self, source):
        super().__init__()
        self.tags = []
        self.words = []
        self.hidden = 0
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.hidden += tag in ("script", "style")

    def handle_endtag(self, tag):
        self.hidden -= tag in ("script", "style")

    def handle_data(self, data):
        if not self.hidden:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def named(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def spaced(words):
    """Return words with plain spaces, as `Page.text` has them."""
    return " ".join(words.split())
