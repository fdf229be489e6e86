from __future__ import annotations

import pickle

import pytest

from titans_dna import errors


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.FormatError, ValueError),
        (errors.InputMissing, FileNotFoundError),
        (errors.IndexStale, ValueError),
        (errors.ContigUnknown, KeyError),
        (errors.ReferenceMismatch, ValueError),
        (errors.ConfigError, ValueError),
        (errors.CheckpointError, ValueError),
        (errors.OutputError, OSError),
    ],
)
def test_each_class_is_the_builtin_a_caller_expects_and_prints_one_plain_line(kind, builtin):
    error = kind("POS is 'a\nb'. Write a number.", path="x.vcf", line=3)
    assert isinstance(error, builtin)
    assert isinstance(error, errors.TitansDNAError)
    assert str(error) == "x.vcf:3: POS is 'a\\nb'. Write a number."
    assert (error.path, error.line) == ("x.vcf", 3)


def test_without_a_place_only_the_text_is_printed():
    assert str(errors.ContigUnknown("no contig 'chr1'.")) == "no contig 'chr1'."
    assert str(errors.FormatError("empty.", path="a.fa")) == "a.fa: empty."


def test_errors_survive_pickling_between_workers():
    for kind in (errors.FormatError, errors.InputMissing, errors.ContigUnknown):
        error = pickle.loads(pickle.dumps(kind("what.", path="p", line=7)))
        assert type(error) is kind
        assert (str(error), error.path, error.line) == ("p:7: what.", "p", 7)


def test_all_names_every_public_class():
    public = {n for n, v in vars(errors).items() if isinstance(v, type) and issubclass(v, Exception)}
    assert public == set(errors.__all__)
