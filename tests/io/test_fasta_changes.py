"""A FASTA that changes while it is open gives the bases of its opening, or an error; never a mixture, never a crash."""

from __future__ import annotations

import os
import pickle

import pytest

from titans_dna.errors import FormatError
from titans_dna.io import open_fasta

OLD, NEW = ">c1\n" + "ACGT" * 20_000 + "\n>c2\nACGTACGT\n", ">c1\n" + "TTTT" * 20_000 + "\n>c2\nGGGGGGGG\n"


@pytest.fixture(params=["a.fa", "a.fa.bgz"])
def path(write, request):
    made = write(request.param, OLD)
    os.utime(made, ns=(1, 1))
    return made


def overwrite(path, write):
    """Overwrite in place, with equal lengths."""
    other = write("other" + path.suffix, NEW).read_bytes()
    with path.open("r+b") as stream:
        stream.write(other)
        stream.truncate()


def test_a_file_that_is_overwritten_in_place_is_refused_from_then_on(path, write):
    with open_fasta(path) as fasta:
        assert fasta.sequence("c2") == b"ACGTACGT"
        overwrite(path, write)
        for read in (lambda: fasta.sequence("c1"), lambda: fasta.fetch("c2", 0, 4), lambda: fasta.letters("c2")):
            with pytest.raises(FormatError, match="has changed while it was read"):
                read()


def test_a_file_that_is_cut_off_in_place_is_refused_and_ends_no_process(path):
    with open_fasta(path) as fasta:
        os.truncate(path, 20)
        for name in ("c1", "c2"):
            with pytest.raises(FormatError, match=r"has changed while it was read|is damaged or cut off"):
                fasta.sequence(name)


def test_a_plain_file_that_is_replaced_is_read_on_as_it_was_but_not_by_another_process(write):
    path, other = write("a.fa", OLD), write("b.fa", NEW)
    with open_fasta(path) as fasta:
        packed = pickle.dumps(fasta)
        with pickle.loads(packed) as again:
            assert again.sequence("c2") == b"ACGTACGT"
        other.replace(path)
        assert fasta.sequence("c2") == b"ACGTACGT"
        with pytest.raises(FormatError, match="has changed while it was read"):
            pickle.loads(packed)
    with pytest.raises(OSError, match="Bad file descriptor"):
        fasta.sequence("c2")


def test_a_file_that_is_changed_in_place_with_its_time_restored_differs_from_its_md5(write):
    path = write("a.fa", OLD)
    before = path.stat()
    with open_fasta(path) as fasta:
        first = fasta.md5("c1")
        fasta.md5("c2")
        assert fasta.sequence("c1") == b"ACGT" * 20_000  # so that c2 is not the contig that was last read
        overwrite(path, write)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        with pytest.raises(FormatError, match="c2 has changed while it was read"):
            fasta.sequence("c2")
        assert fasta.md5("c1") == first
