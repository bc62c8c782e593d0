"""Large JSON arrays are read an element at a time, and what is not JSON is named."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsbuild.builders.sources import json_members
from dsbuild.builders.sources.json_members import members
from dsbuild.errors import SourceError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.sampled_from('a"\\é🙂]},:\u2028'), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(params=[1, 7, 1 << 20])
def chunk(request, monkeypatch):
    """Reads of this many bytes: values and characters are cut anywhere."""
    monkeypatch.setattr(json_members, "_CHUNK", request.param)


@given(
    elements=st.lists(VALUES, max_size=4),
    before=VALUES,
    after=VALUES,
    indent=st.sampled_from([None, 2]),
    size=st.sampled_from([1, 3, 999]),
)
def test_elements_and_members_as_the_json_library_has_them(tmp_path_factory, elements, before, after, indent, size):
    path = tmp_path_factory.mktemp("json") / "a.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_members, "_CHUNK", size)
        path.write_text(json.dumps(elements, indent=indent, ensure_ascii=False))
        assert [value for _, value in members(path)] == elements
        path.write_text(json.dumps({"x": before, "data": elements, "y": after}, indent=indent, ensure_ascii=False))
        found = list(members(path, "data"))
    assert [value for name, value in found if name == "data"] == elements
    assert found[0] == ("x", before)
    assert found[-1] == ("y", after)


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize(
    ("text", "array", "said"),
    [
        ('{"data": [1, 2', "data", "a comma after element of 'data' 1"),
        ('{"data": [1 2]}', "data", "a comma after element of 'data' 0 is wanted and '2"),
        ('{"data": [{"a": ]}', "data", "element of 'data' 0 is not JSON"),
        ('{"data": []} {}', "data", "goes on after the end"),
        ('{"data": 3}', "data", "no array 'data'"),
        ("", "", "begins with '' where an array is wanted"),
        ("{}", "", "begins with '{' where an array"),
        ("[" * 3000 + "]" * 3000, "", "nested too deeply"),
    ],
)
def test_what_is_no_such_json_is_named(tmp_path, text, array, said):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(SourceError, match=said):
        list(members(path, array))


def test_bytes_that_are_no_text_and_cut_archives_are_named(tmp_path):
    (tmp_path / "a.json").write_bytes(b'["\xff"]')
    with pytest.raises(SourceError, match="invalid UTF-8 .byte 0xff"):
        list(members(tmp_path / "a.json"))
    (tmp_path / "a.json.gz").write_bytes(b"\x1f\x8b\x08\x00 nonsense")
    with pytest.raises(SourceError, match="damaged or cut short"):
        list(members(tmp_path / "a.json.gz"))
