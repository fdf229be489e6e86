"""The classes of transformers, with the real package: Auto classes, generate, one step of its Trainer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

transformers = pytest.importorskip("transformers", reason="needs transformers")

from toy import CONFIG, RECALL  # noqa: E402

import titans_dna.integrations.transformers as hf  # noqa: E402
from titans_dna.errors import ConfigError  # noqa: E402
from titans_dna.inference.generate import Sampling, generate, read_prompt  # noqa: E402
from titans_dna.inference.model import load_model  # noqa: E402
from titans_dna.model.backbone import Backbone  # noqa: E402
from titans_dna.model.checkpoint import save_checkpoint  # noqa: E402
from titans_dna.tokenizers import KmerTokenizer, NucleotideTokenizer  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
TEXT = "ACGTACGGTTTACGATCGACTAGCATCAGCATCAGCATC"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("model")
    torch.manual_seed(3)
    backbone = Backbone(replace(CONFIG, recall=RECALL))
    torch.nn.init.normal_(backbone.head.weight, std=0.5)
    save_checkpoint(place / "own", backbone, NucleotideTokenizer().to_json())
    hf.export(place / "own", place / "exported")
    return place


@pytest.fixture(scope="module")
def pair(folder):
    """Model and tokenizer as transformers makes them of the exported folder."""
    auto = (transformers.AutoModelForCausalLM, transformers.AutoTokenizer)
    model, tokenizer = (each.from_pretrained(folder / "exported") for each in auto)
    return model.eval(), tokenizer


def test_the_auto_classes_read_an_exported_folder_and_give_the_same_numbers(folder, pair):
    model, tokenizer = pair
    own = load_model(folder / "own", "cpu")
    ids = tokenizer(TEXT, return_tensors="pt").input_ids
    assert ids[0].tolist() == [own.bos, *own.tokenizer.encode(TEXT.encode()).tolist()]
    with torch.no_grad():
        assert torch.equal(model(ids).logits[..., :4], own.backbone.stream(ids).logits)
        assert model(ids).logits.shape == (1, len(TEXT) + 1, 7)
        assert not model(ids).logits[..., :4].argmax(-1).max() > 3


def test_a_stream_that_is_cut_gives_the_same_logits(pair):
    model, tokenizer = pair
    ids = tokenizer(TEXT, return_tensors="pt").input_ids
    with torch.no_grad():
        first = model(ids[:, :17], use_cache=True)
        second = model(ids[:, 17:], state=first.state)
        torch.testing.assert_close(torch.cat([first.logits, second.logits], 1), model(ids).logits, atol=1e-5, rtol=1e-5)


def test_generate_goes_on_as_the_package_does(folder, pair):
    model, tokenizer = pair
    ids = tokenizer(TEXT, return_tensors="pt").input_ids
    found = model.generate(ids, max_new_tokens=20, do_sample=False)
    own = load_model(folder / "own", "cpu")
    greedy = generate(own, read_prompt(own, "p", TEXT.encode()), 20, Sampling(temperature=0))
    assert found[0, len(TEXT) + 1 :].tolist() == greedy.ids.tolist()
    assert tokenizer.decode(found[0], skip_special_tokens=True) == TEXT + greedy.sequence.decode()
    drawn = model.generate(ids.repeat(3, 1), max_new_tokens=8, do_sample=True)
    assert drawn.shape == (3, len(TEXT) + 9)
    assert int(drawn[:, -8:].max()) < 4
    assert model.generate(ids, max_new_tokens=5, num_beams=3, do_sample=False).shape[1] == len(TEXT) + 6


def test_one_step_of_the_trainer_lowers_the_loss_on_what_it_saw(pair, tmp_path):
    pytest.importorskip("accelerate", reason="the Trainer needs accelerate")
    model, tokenizer = pair
    model = hf.TitansForCausalLM(model.config)
    rows = [{"input_ids": tokenizer(text).input_ids} for text in (TEXT, TEXT[5:] + "ACGTN")]
    collator = transformers.DataCollatorForLanguageModeling(tokenizer, mlm=False)
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "run"), max_steps=3, per_device_train_batch_size=2, learning_rate=5e-3, report_to=[],
        use_cpu=True, save_strategy="no", logging_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    trainer = transformers.Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collator)
    batch = collator(rows)
    before = float(model(**batch).loss.detach())
    trainer.train()
    assert float(model(**batch).loss.detach()) < before
    saved = tmp_path / "saved"
    trainer.save_model(str(saved))
    again = transformers.AutoModelForCausalLM.from_pretrained(saved)
    with torch.no_grad():
        assert float(again.eval()(**batch).loss) == pytest.approx(float(model.eval()(**batch).loss), abs=1e-6)
    save_checkpoint(tmp_path / "own", hf.to_backbone(model), {"kind": "nucleotide"})
    assert load_model(tmp_path / "own", "cpu").backbone.config == model.config.form


def test_filling_at_the_end_changes_nothing_and_elsewhere_is_refused(pair):
    model, tokenizer = pair
    batch = tokenizer([TEXT, TEXT[:20]], padding=True, return_tensors="pt")
    with torch.no_grad():
        together, alone = model(**batch).logits, model(tokenizer(TEXT[:20], return_tensors="pt").input_ids).logits
    torch.testing.assert_close(together[1, :21], alone[0], atol=1e-5, rtol=1e-5)
    with pytest.raises(ConfigError, match="filling stands before tokens"):
        model(batch.input_ids, attention_mask=batch.attention_mask.flip(1))
    with pytest.raises(ConfigError, match="cannot be continued together"):
        model.generate(**batch, max_new_tokens=2)


def test_labels_that_cannot_be_predicted_do_not_count(pair):
    model, tokenizer = pair
    ids = tokenizer("ACGTNNACGT", return_tensors="pt").input_ids
    masked = ids.clone()
    masked[ids >= 4] = -100
    with torch.no_grad():
        assert float(model(ids, labels=ids).loss) == float(model(ids, labels=masked).loss)


def test_words_of_bases_are_tokens_too(tmp_path):
    own = KmerTokenizer(k=3)
    tokenizer = hf.TitansTokenizer(settings=own.to_json())
    tokenizer.save_pretrained(tmp_path)
    again = hf.TitansTokenizer.from_pretrained(tmp_path)
    assert again("ACGTACGTA").input_ids[1:] == own.encode(b"ACGTACGTA").tolist()
    assert again.decode(again("ACGTACGTA").input_ids, skip_special_tokens=True) == "ACGTACGTA"
