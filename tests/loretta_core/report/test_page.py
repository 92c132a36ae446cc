"""report.html: valid, self-contained, everything in it escaped."""

import re
from html.parser import HTMLParser

import pytest

from loretta_core.report.compare import write_comparison
from loretta_core.report.page import GLOSSARY
from loretta_core.store.records import Failure
from tests.loretta_core.report.synthetic import fill, make_cell, make_record, write_sweep

VOID = {"meta", "br", "hr", "img", "link", "input"}
EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Elements, attributes and texts; an end tag that does not match fails."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.attributes, self.texts, self.cells, self.css = [], [], [], [], [], ""
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_startendtag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            self.css += data
            return
        self.texts.append(data)
        if self.open and {"td", "th"} & set(self.open):
            self.cells[-1] += data

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def page_of(out, name="quickstart"):
    text = write_comparison(out, name=name).report.read_text(encoding="utf-8")
    return Page(text), text


def evil_sweep(tmp_path, evil=EVIL):
    """Text from outside wherever a sweep, a model, a failure or an environment can bring it in."""
    model, adapter = make_cell("lora", "adam", f"model=dir/x{evil.replace('/', '')}"), make_cell("lora")
    failed = make_cell("ft")
    records = [
        (model, make_record(model, warnings=[f"warned {evil}"], environment={"device": f"GPU {evil}"}, adapter=f"adapter{evil}")),
        (adapter, make_record(adapter, score={"name": f"accuracy{evil}"})),
        (failed, make_record(failed, status="failed", error=Failure(kind=f"kind{evil}", message=f"message{evil}"))),
    ]
    fields = {"description": f"described {evil}", "duplicates": (f"double {evil}",), "skipped": ((f"cell {evil}", f"reason {evil}"),)}
    return write_sweep(tmp_path, records=records, **fields)


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    """(page, its text, output directory), rendered once."""
    out = fill(tmp_path_factory.mktemp("page") / "outputs")
    return (*page_of(out), out)


@pytest.fixture(scope="module")
def harmless(tmp_path_factory):
    return page_of(evil_sweep(tmp_path_factory.mktemp("harmless"), "harmless"), name="sweep")[0]


def test_the_page_parses_and_says_everything(quickstart):
    page, text, out = quickstart
    assert text.startswith("<!doctype html>")
    assert page.elements.count("svg") == 3
    assert page.elements.count("h1") == 1
    assert "Highest on validation, not a verdict: " in page.text
    assert "One seed per contender, so nothing is claimed." in page.text
    assert "Without training: 0.720 ± 0.028 (the model before training)." in page.text
    assert "10 cells (a cell is one fine-tuning run, scored on test rows that it never trained on): 8 finished, 1 failed, 1 not run." in page.text
    assert "Five methods & two trainers" in page.text
    assert "nan: loss is <nan> at step 12" in page.text
    assert "not run yet, or interrupted" in page.text
    assert "Named more than once in the sweep, run once: toy-bert · toy_sentiment · loretta_adp · adam · seed 0" in page.text
    assert f"loretta serve --out {out}" in page.text
    assert "PeftModel.from_pretrained(base, " in page.text


def test_the_table(quickstart):
    page, _, _ = quickstart
    cells = page.cells[page.cells.index("model", 1) :]  # the first table is that by contender
    width = cells.index("cell") + 1
    header, first = cells[:width], cells[width : 2 * width]
    assert header == [
        "model", "task", "method", "trainer", "trainable parameters", "score", "before training", "training time", "peak memory", "cell",
    ]  # fmt: skip
    assert first == ["toy-bert", "toy_sentiment", "lora", "adam", "16,384", "0.910 ± 0.018", "0.720", "7.5 s", "612 MiB", make_cell("lora").cell_id]


def test_every_column_is_explained(tmp_path):
    cells = [make_cell("lora", "adam", f"seed={seed}", f"batch_size={size}", f"precision={dtype}") for seed, size, dtype in ((0, 8, "fp32"), (1, 16, "bf16"))]
    page, _ = page_of(write_sweep(tmp_path, records=[(cell, make_record(cell)) for cell in cells]), name="sweep")
    for title in [*page.cells[: page.cells.index("peak memory") + 1], *page.cells[page.cells.index("model", 1) : page.cells.index("cell") + 1]]:
        assert GLOSSARY[title] in page.text


def test_nothing_is_loaded_from_elsewhere(quickstart):
    page, _, _ = quickstart
    links = [value for _, name, value in page.attributes if name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset")]
    assert links
    assert not [link for link in links if not (link.startswith("#") or link in ("table.md", "table.json", "verdict.json"))]
    assert not re.search(r"@import|url\((?!#)", page.css)
    styles = [value for _, name, value in page.attributes if name in ("style", "clip-path", "fill")]
    assert not [style for style in styles if re.search(r"url\((?!#)", style)]
    assert not {"script", "iframe", "object", "embed", "link", "base", "form", "img"} & set(page.elements)


def test_the_linked_files_exist(quickstart):
    _, _, out = quickstart
    assert (out / "sweeps" / "quickstart" / "table.md").is_file()
    assert (out / "sweeps" / "quickstart" / "table.json").is_file()
    assert (out / "sweeps" / "quickstart" / "verdict.json").is_file()


def test_the_table_by_contender_comes_first(quickstart):
    page, _, _ = quickstart
    header, first = page.cells[:8], page.cells[8:16]
    assert header == ["model", "task", "contender", "trainable parameters", "score", "seeds", "training time", "peak memory"]
    assert first == ["toy-bert", "toy_sentiment", "lora · adam", "16,384", "0.910 ± 0.018", "1", "7.5 s", "612 MiB"]


@pytest.mark.parametrize("evil", [EVIL, "<img src=x onerror=alert(1)>", "\"><svg onload='alert(1)'>", "{{ 7 * 7 }}{% raw %}", "</style></svg><p>"])
def test_everything_is_escaped(tmp_path, harmless, evil):
    page, _ = page_of(evil_sweep(tmp_path, evil), name="sweep")
    for prefix in ("described", "warned", "GPU", "double", "cell", "reason"):
        assert f"{prefix} {evil}" in page.text, prefix
    for prefix in ("kind", "message", "accuracy"):
        assert f"{prefix}{evil}" in page.text, prefix
    assert sorted(page.elements) == sorted(harmless.elements)
    assert sorted({name for _, name, _ in page.attributes}) == sorted({name for _, name, _ in harmless.attributes})


def test_ids_are_unique(quickstart):
    page, _, _ = quickstart
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_a_sweep_that_has_not_begun(tmp_path):
    cell = make_cell()
    page, _ = page_of(write_sweep(tmp_path, records=[(cell, None)]), name="sweep")
    assert "svg" not in page.elements
    assert "1 cell (a cell is one fine-tuning run, scored on test rows that it never trained on): 1 not run." in page.text
    assert "No cell has run yet." in page.text
    assert "from_pretrained" not in page.text


def test_warnings_are_counted(tmp_path):
    cells = [make_cell(method) for method in ("lora", "ft")]
    records = [(cells[0], make_record(cells[0], warnings=["slow disk", "odd"])), (cells[1], make_record(cells[1], warnings=["slow disk"]))]
    page, _ = page_of(write_sweep(tmp_path, records=records), name="sweep")
    assert "slow disk (2 of 2 cells)" in page.text
    assert "odd (1 of 2 cells)" in page.text


def test_the_host_is_not_published(tmp_path):
    cell = make_cell()
    record = make_record(cell, environment={"host": "secret-machine", "torch": "2.13.0"}, finished_at="2026-01-02T03:04:05+00:00")
    page, text = page_of(write_sweep(tmp_path, records=[(cell, record)]), name="sweep")
    assert "secret-machine" not in text
    assert "Last cell ended 2026-01-02T03:04:05+00:00 · torch 2.13.0" in page.text
