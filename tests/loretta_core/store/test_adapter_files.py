"""Files of an adapter: whole ones pass, and every kind of damage is told with the file."""

import json

import pytest

from loretta_core.errors import OutputError
from loretta_core.store.adapter_files import adapter_digest, check_adapter


@pytest.fixture
def adapter(tmp_path):
    directory = tmp_path / "adapter"
    directory.mkdir()
    (directory / "adapter_config.json").write_text("{}")
    header = json.dumps({"__metadata__": {"format": "pt"}, "a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    (directory / "adapter_model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    return directory


def test_whole_files_pass_with_and_without_a_digest_which_does_not_raise(adapter):
    check_adapter(adapter, digest=adapter_digest(adapter))
    check_adapter(adapter, digest=None)


def test_what_safetensors_writes_passes(adapter):
    torch = pytest.importorskip("safetensors.torch")
    torch.save_file({"a": torch.torch.zeros(3, 2), "b": torch.torch.ones(5, dtype=torch.torch.bfloat16)}, adapter / "adapter_model.safetensors")
    check_adapter(adapter, digest=None)
    assert len(adapter_digest(adapter)) == 64


@pytest.mark.parametrize("rename", [lambda path: path.rename(path.with_name("other.json")), lambda path: path.write_text("[]"), lambda path: path.unlink()])
def test_the_digest_covers_names_and_contents_of_all_files(adapter, rename):
    before = adapter_digest(adapter)
    rename(adapter / "adapter_config.json")
    assert adapter_digest(adapter) != before
    with pytest.raises(OutputError, match=r"adapter: damaged \(its files do not have the sha256 that the record says\)"):
        check_adapter(adapter, digest=before)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.unlink(), r"adapter: damaged \(it has no weights"),
        (lambda path: path.write_bytes(b""), r"adapter_model\.safetensors: damaged \(no complete header"),
        (lambda path: path.write_bytes(path.read_bytes()[:20]), "no complete header"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "its tensors end at byte"),
        (lambda path: path.write_bytes(bytes(100)), "its header is not that of a safetensors file"),
        (lambda path: path.write_bytes((2).to_bytes(8, "little") + b"[]"), "its header is not that of a safetensors file"),
        (lambda path: (path.unlink(), path.mkdir()), r"adapter_model\.safetensors: damaged \(cannot be read: Is a directory\)"),
    ],
)
def test_weights_that_cannot_be_read_are_named(adapter, damage, reason):
    damage(adapter / "adapter_model.safetensors")
    with pytest.raises(OutputError, match=reason):
        check_adapter(adapter, digest=None)


def test_a_directory_that_is_missing_is_named(tmp_path):
    with pytest.raises(OutputError, match=r"nowhere: damaged \(it has no weights"):
        check_adapter(tmp_path / "nowhere", digest=None)
