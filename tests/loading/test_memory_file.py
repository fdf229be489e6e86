"""Memory files: what is written is what is read, and what is damaged or foreign is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from recall.sequences import mutated, patchwork
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from titans_dna.errors import ConfigError, FormatError, InputMissing
from titans_dna.io.sequence.fasta import open_fasta
from titans_dna.loading.memory_file import KEY, open_memory, save_memory, save_target
from titans_dna.loading.relatives import RelativesChoice, open_targets, read_relatives, read_target
from titans_dna.recall import RecallForm, RecallState, Relatives, Target, recall
from titans_dna.recall.vote import votes

IDS = patchwork(20_000, 5)


@pytest.fixture
def relatives() -> Relatives:
    found = Relatives.empty(RecallForm())
    found.read("c1", "cat", [IDS[:12_000]], "a" * 32)
    found.read("d1", "dog", [mutated(IDS, 0.1, np.random.default_rng(1))], "b" * 32)
    return found


@pytest.fixture
def path(relatives, tmp_path) -> Path:
    save_memory(tmp_path / "x.tdm", relatives)
    return tmp_path / "x.tdm"


def test_what_is_read_from_a_file_is_what_was_written(relatives, path):
    opened = open_memory(path, whole=True)
    assert opened.contigs == relatives.contigs
    assert opened.genomes == ("cat", "dog")
    assert (opened.bases, opened.checksum) == (relatives.bases, relatives.checksum)
    query = mutated(IDS[3000:9000], 0.05, np.random.default_rng(2))
    np.testing.assert_array_equal(votes(opened, query), votes(relatives, query))
    states = [RecallState(memory=x.memory, position=x.memory.end, leaves=True) for x in (opened, relatives)]
    one, other = (recall(state, query, sources=True) for state in states)
    assert (one.codes > 0).any()
    np.testing.assert_array_equal(one.codes, other.codes)
    np.testing.assert_array_equal(one.sources, other.sources)
    assert open_memory(path).memory.ids(0, 5000).tolist() == relatives.memory.ids(0, 5000).tolist()


def test_the_same_genomes_give_the_same_bytes_and_no_file_is_changed_by_reading(relatives, path, tmp_path):
    save_memory(tmp_path / "y.tdm", relatives)
    before = path.read_bytes()
    assert (tmp_path / "y.tdm").read_bytes() == before
    opened = open_memory(path)
    recall(RecallState(memory=opened.memory, position=opened.memory.end, leaves=True), IDS)
    assert path.read_bytes() == before


def rewrite(path: Path, change) -> None:
    with safe_open(path, "np") as file:
        about = json.loads(file.metadata()[KEY])
    arrays = load_file(path)
    change(about, arrays)
    save_file(arrays, path, metadata={KEY: json.dumps(about)})


def test_damaged_and_hostile_files_are_refused_in_one_line(path):
    whole = path.read_bytes()

    def refused(words: str) -> None:
        with pytest.raises(FormatError, match=words) as raised:
            open_memory(path)
        assert "\n" not in str(raised.value)
        assert "titans-dna remember" in str(raised.value)

    for cut in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        refused("damaged|no memory file")
    flipped = bytearray(whole)
    flipped[-1000] ^= 1
    path.write_bytes(bytes(flipped))
    refused("checksum")
    changes = {
        "version": lambda about, arrays: about.update(format=9),
        "settings|places": lambda about, arrays: about.update(form={"places": 0}),
        "tape": lambda about, arrays: about.update(tokens=1_000_000),
        "overlap": lambda about, arrays: about.update(contigs=[["a", "a", 65, 900, ""]] * 2),
        "contigs": lambda about, arrays: about.update(contigs=[]),
        "damaged": lambda about, arrays: about.pop("crc32"),
    }
    for words, change in changes.items():
        path.write_bytes(whole)
        rewrite(path, change)
        refused(words)
    path.unlink()
    with pytest.raises(InputMissing, match="no such memory file"):
        open_memory(path)


def test_indices_of_a_hostile_file_lead_nowhere(path):
    """Checksums can be forged: entries that point beyond the arrays, and chains that end in themselves, do no harm."""
    import zlib

    def forge(about, arrays):
        rng = np.random.default_rng(0)
        for name in ("heads_0", "previous_0", "previous_1", "ends_1"):
            arrays[name] = rng.integers(0, 1 << 32, len(arrays[name]), dtype=np.uint64).astype(np.uint32)
        arrays["heads_0"][::2] = 0
        arrays["previous_1"][:] = np.arange(1, 1 + len(arrays["previous_1"]), dtype=np.uint32)
        about["crc32"] = {name: zlib.crc32(a.tobytes()) for name, a in arrays.items()}

    rewrite(path, forge)
    opened = open_memory(path)
    found = recall(RecallState(memory=opened.memory, position=opened.memory.end, leaves=True), IDS, sources=True)
    assert found.codes.shape == (len(IDS), opened.memory.form.places)
    assert found.sources.max() < opened.memory.end + len(IDS)
    assert votes(opened, IDS[:5000]).max() <= 4


def fasta(path: Path, contigs: dict[str, np.ndarray]) -> Path:
    letters = np.array(list("ACGTN"))
    path.write_text("".join(f">{name}\n{''.join(letters[np.minimum(ids, 4)])}\n" for name, ids in contigs.items()))
    return path


def test_relatives_come_from_files_and_the_target_is_not_one_of_them(path, tmp_path):
    first = fasta(tmp_path / "one.fa", {"a#1#x": IDS[:3000], "a#2#x": IDS[3000:7000], "b|y": IDS[7000:9000]})
    form = RecallForm()
    by_file, _ = read_relatives(RelativesChoice(fastas=(first,)), form)
    assert by_file.genomes == ("one.fa",)
    by_name, _ = read_relatives(RelativesChoice(fastas=(first,), one_vote_per="prefix"), form)
    assert by_name.genomes == ("a", "b")
    by_contig, _ = read_relatives(RelativesChoice(fastas=(first,), one_vote_per="contig"), form)
    assert by_contig.genomes == ("a#1#x", "a#2#x", "b|y")
    added, _ = read_relatives(RelativesChoice(fastas=(first,), memories=(path,)), form)
    assert added.genomes == ("cat", "dog", "one.fa")
    assert added.bases == 32_000 + 9000
    with open_fasta(fasta(tmp_path / "target.fa", {"t": IDS[3000:7000], "u": IDS[:100]})) as target:
        with pytest.raises(ConfigError, match=r"a#2#x is the target itself.*--allow-self"):
            read_relatives(RelativesChoice(fastas=(first,)), form, target)
        found, left_out = read_relatives(RelativesChoice(fastas=(first,), allow_self=True), form, target)
        assert left_out == ["a#2#x"]
        assert found.bases == 5000
        alone = fasta(tmp_path / "alone.fa", {"z": IDS[3000:7000]})
        with pytest.raises(ConfigError, match="no relative is left"):
            read_relatives(RelativesChoice(fastas=(alone,), allow_self=True), form, target)
        save_memory(tmp_path / "self.tdm", read_relatives(RelativesChoice(fastas=(alone,)), form)[0])
        with pytest.raises(ConfigError, match="holds z, which is the target itself"):
            read_relatives(RelativesChoice(memories=(tmp_path / "self.tdm",)), form, target)
    with pytest.raises(ConfigError, match="other settings"):
        read_relatives(RelativesChoice(memories=(path,)), RecallForm(places=4))
    with pytest.raises(ConfigError, match="in the memory already"):
        read_relatives(RelativesChoice(fastas=(first, first)), form)


@pytest.fixture
def target(tmp_path) -> Path:
    genome = fasta(tmp_path / "target.fa", {"c1": IDS[:5000], "c2": IDS[5000:7000]})
    save_target(tmp_path / "t.tdm", read_target([genome], RecallForm()))
    return tmp_path / "t.tdm"


def test_a_target_is_read_as_it_was_written_and_what_is_damaged_is_refused(target):
    opened = open_memory(target, whole=True)
    assert isinstance(opened, Target)
    assert [(c.name, c.length_bp) for c in opened.contigs] == [("c1", 5000), ("c2", 2000)]
    forward, reverse = opened.contigs[0].strands
    np.testing.assert_array_equal(forward.ids(65, 5065), np.minimum(IDS[:5000], 4))
    known = reverse.ids(65, 5065)
    np.testing.assert_array_equal(np.where(known < 4, 3 - known, 4), np.minimum(IDS[:5000], 4)[::-1])
    whole = target.read_bytes()
    changes = {
        "no contig": lambda about, arrays: about.update(contigs=[]),
        "shorter than its contig": lambda about, arrays: about["contigs"][1].__setitem__(1, 9000),
        "tape": lambda about, arrays: about["contigs"][0][3][1].update(tokens=640),
        "damaged": lambda about, arrays: about["contigs"][0][3].pop(),
        r"'0\+'": lambda about, arrays: (
            [arrays.pop(name) for name in list(arrays) if name.startswith("0+")] and about.update(crc32={})
        ),
    }
    for words, change in changes.items():
        target.write_bytes(whole)
        rewrite(target, change)
        with pytest.raises(FormatError, match=words):
            open_memory(target)
    target.write_bytes(whole)
    with pytest.raises(ConfigError, match="other settings"):
        open_targets([target], RecallForm(places=3))
