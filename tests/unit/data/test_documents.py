"""Documents are texts, Markdown, HTML, PDF and JSONL, alone or in a folder, and know where they stand."""

import gzip
import io
from pathlib import Path

import pytest
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from tunewise.data.documents import Document, read_documents
from tunewise.errors import DataError


def test_a_folder_gives_all_its_documents_in_the_order_of_their_paths(tmp_path: Path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "z.txt").write_text("last\n", "utf-8")
    (tmp_path / "b.jsonl").write_text('{"id": 1, "text": "two"}\n\n{"text": "thrée"}\n', "utf-8")
    (tmp_path / "a.md").write_text("\ufeff# one", "utf-8")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "description.txt").write_text("hidden", "utf-8")
    assert read_documents(tmp_path).documents == (
        Document("# one", "a.md"),
        Document("two", "b.jsonl, line 1"),
        Document("thrée", "b.jsonl, line 3"),
        Document("last\n", "deep/z.txt"),
    )


def test_what_is_left_out_of_a_folder_is_told(tmp_path: Path):
    (tmp_path / "a.txt").write_text("text", "utf-8")
    (tmp_path / "empty.txt").write_text("\n", "utf-8")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    found = read_documents(tmp_path)
    assert found.texts == ("text",)
    assert found.left_out == ("empty.txt", "picture.png")
    assert found.describe().endswith("2 (empty.txt, picture.png)")


def test_a_link_to_a_folder_is_not_followed_and_that_is_told(tmp_path: Path):
    (tmp_path / "a.txt").write_text("text", "utf-8")
    (tmp_path / "round").symlink_to(tmp_path)
    (tmp_path / "round.md").symlink_to(tmp_path)
    found = read_documents(tmp_path)
    assert (found.texts, found.left_out) == (("text",), ("round", "round.md"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "naïve".encode("utf-16")),
        ("a.TXT.gz", gzip.compress("naïve".encode())),
        ("release.notes.md", "naïve".encode()),
        ("a.html", '<meta charset="latin-1"><p>naïve</p>'.encode("latin-1")),
    ],
)
def test_files_may_be_compressed_and_say_what_they_are_encoded_in(tmp_path: Path, name, content):
    (tmp_path / name).write_bytes(content)
    assert [text.strip() for text in read_documents(tmp_path / name).texts] == ["naïve"]


def test_of_html_the_shown_text_is_read_with_its_headings_and_table_rows(tmp_path: Path):
    (tmp_path / "a.html").write_text(
        "<title>t</title><style>p {}</style><script>let x</script>"
        "<h1>\n  Our\n <i>Si</i>zes\n</h1>\n\n  \n<p>Are <b>snake_case</b>s."
        "<h2>Old</h2><table><tr><th>Model</th><th>Size</th></tr><tr><td>A</td><td>7 mm</td></tr></table>",
        "utf-8",
    )
    (text,) = read_documents(tmp_path / "a.html").texts
    assert text.split("\n\n") == ["# Our Sizes", "Are snake_cases.", "## Old", "Model | Size", "A | 7 mm"]


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        ("<td>Red<br>Blue</td><td><p>7</p><p>mm</p></td>", ["Red Blue | 7 mm"]),
        ("<td><h2>Size<br>Guide</h2><p>In mm.</p></td><td>By us</td>", ["## Size Guide", "In mm.", "By us"]),
        (
            "<td>Menu</td><td><table><tr><td>A</td><td>7 mm</td></tr><tr><td>B</td></tr></table></td>",
            ["Menu", "A | 7 mm", "B"],
        ),
    ],
)
def test_lines_and_blocks_within_a_table_stay_apart_and_are_told_once(tmp_path: Path, page, shown):
    (tmp_path / "a.html").write_text(f"<table><tr>{page}</tr></table>", "utf-8")
    (text,) = read_documents(tmp_path / "a.html").texts
    assert text.split("\n\n") == shown


@pytest.mark.parametrize(
    "unseen",
    [
        "<script>let x</script>",
        "<style>p {}</style>",
        "<template><p>x</p></template>",
        "<noscript>Turn scripts on.</noscript>",
        "<div hidden><h2>Old</h2><script>let x</script></div>",
    ],
)
def test_of_html_what_a_browser_does_not_show_is_no_text(tmp_path: Path, unseen):
    (tmp_path / "a.html").write_text(f"<body><p>Red.</p>{unseen}<p>Blue.</p>", "utf-8")
    assert read_documents(tmp_path / "a.html").texts == ("Red.\n\nBlue.",)


@pytest.mark.parametrize("name", ["a.txt", "a.html"])
def test_an_empty_file_of_any_kind_is_left_out(tmp_path: Path, name):
    (tmp_path / name).write_bytes(b"")
    (tmp_path / "b.txt").write_text("text", "utf-8")
    assert read_documents(tmp_path).left_out == (name,)


def test_half_a_surrogate_pair_is_replaced_so_that_the_text_can_be_written(tmp_path: Path):
    (tmp_path / "a.jsonl").write_text(
        r'{"text": "abc \ud835 def"}' + "\n" + r'{"text": "\ud83d\ude00"}', "utf-8"
    )
    assert read_documents(tmp_path / "a.jsonl").texts == ("abc \ufffd def", "\U0001f600")


def test_each_page_of_a_pdf_is_a_document(tmp_path: Path):
    (tmp_path / "a.pdf").write_bytes(pdf("First page.", "", "Third page."))
    found = read_documents(tmp_path / "a.pdf")
    assert found.documents == (
        Document("First page.", "a.pdf, page 1"),
        Document("Third page.", "a.pdf, page 3"),
    )
    assert found.left_out == ("a.pdf, page 2",)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"body": "y"}', r':2: has null as "text": give \{"text": "..."\}'),
        ("a.jsonl", b"[1]", ":1: has null as"),
        ("a.jsonl", b"{", ":1: not JSON"),
        (
            "a.txt",
            b"\xff",
            "is not UTF-8: save it as UTF-8, or name what it is in, such as --encoding latin-1",
        ),
        ("a.txt.gz", b"\x1f\x8b\x08", "cannot be read .*: get or make the file anew"),
        ("a.html", b"<script>show()</script>", "shows no text until its scripts run"),
        ("a.html", b"<body><div></div><script>show()</script>", "shows no text until its scripts run"),
        ("a.pdf", b"%PDF-1.7 and then nothing", "is no PDF that can be read"),
        ("a.docx", b"PK", "is no document that can be read: give one that ends with .txt, "),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name, content, complaint):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=complaint):
        read_documents(tmp_path / name)


def test_a_pdf_that_cannot_be_read_is_named_within_a_folder_too(tmp_path: Path):
    (tmp_path / "fine.txt").write_text("text", "utf-8")
    (tmp_path / "scan.pdf").write_bytes(pdf("", ""))
    with pytest.raises(DataError, match=r"scan.pdf: holds no text, only pictures of it"):
        read_documents(tmp_path)
    (tmp_path / "scan.pdf").write_bytes(pdf("Secret.", password="s"))
    with pytest.raises(DataError, match=r"scan.pdf: is encrypted"):
        read_documents(tmp_path)


def test_a_path_without_documents_is_named(tmp_path: Path):
    with pytest.raises(DataError, match="holds no documents"):
        read_documents(tmp_path)
    with pytest.raises(DataError) as refused:
        read_documents(tmp_path / "nothing")
    assert refused.value.problem == "there is no such file or folder"


def pdf(*pages: str, password: str | None = None) -> bytes:
    """A PDF file with a line of text on each page."""
    writer = PdfWriter()
    for text in pages:
        page = writer.add_blank_page(200, 200)
        font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
        named = DictionaryObject({NameObject(k): NameObject(v) for k, v in font.items()})
        fonts = DictionaryObject({NameObject("/F1"): named})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 10 100 Td ({text}) Tj ET".encode())
        page[NameObject("/Contents")] = stream
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def test_documents_that_are_no_utf8_are_read_in_the_encoding_that_was_named(tmp_path: Path):
    (tmp_path / "new.txt").write_text("naïve", "utf-8")
    (tmp_path / "old.txt").write_text("naïve", "latin-1")
    (tmp_path / "wide.txt").write_text("naïve", "utf-16")
    assert read_documents(tmp_path, "latin-1").texts == ("naïve", "naïve", "naïve")
    with pytest.raises(DataError, match=r"old\.txt: is not UTF-8 nor ASCII"):
        read_documents(tmp_path, "ascii")
