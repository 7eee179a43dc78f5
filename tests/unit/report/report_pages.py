"""Reading a page as a browser would, and text that tries to break out of one."""

from __future__ import annotations

from html.parser import HTMLParser

HOSTILE = (
    "<script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>\"'&{{7*7}}"
    "</style></svg></details>\x00\x07\x1b[31m\u202egnp.exe\u2066\ud800]]>"
)
VOID = {"meta", "input", "br", "img", "link", "hr", "rect", "line", "circle", "polyline"}


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, text, and whether all that opens closes."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.unclosed: list[str] = []
        self.feed(source)
        self.close()
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.unclosed.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.unclosed.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.unclosed:
            self.words.append(data)

    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}

    def with_class(self, name: str) -> list[dict[str, str | None]]:
        return [attrs for _, attrs in self.elements if name in (attrs.get("class") or "").split()]
