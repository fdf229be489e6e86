"""``save_pretrained`` and ``from_pretrained``: model folders for the tools of Hugging Face.

>>> from titans_dna.model.backbone import Backbone
>>> from titans_dna.model.config import named_config
>>> from titans_dna.model.hub import PretrainedBackbone
>>> import tempfile
>>> model = PretrainedBackbone(Backbone(named_config("nano")), {"kind": "nucleotide"})
>>> with tempfile.TemporaryDirectory() as folder:
...     model.save_pretrained(folder)
...     PretrainedBackbone.from_pretrained(folder).backbone.config.width
64
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import ModelHubMixin, snapshot_download

from titans_dna.model.backbone import Backbone
from titans_dna.model.checkpoint import CONFIG, TOKENIZER, WEIGHTS, load_checkpoint, save_checkpoint


class PretrainedBackbone(ModelHubMixin, library_name="titans-dna", tags=["dna", "titans"]):
    """A backbone with the settings of its tokenizer; its folder has the layout that ``titans-dna pretrain`` writes.

    Parameters
    ----------
    backbone
        The model.
    tokenizer
        Settings for ``titans_dna.tokenizers.load_tokenizer``.
    """

    def __init__(self, backbone: Backbone, tokenizer: dict[str, Any]) -> None:
        self.backbone, self.tokenizer = backbone, tokenizer

    def _save_pretrained(self, save_directory: Path) -> None:
        save_checkpoint(Path(save_directory), self.backbone, self.tokenizer)

    @classmethod
    def _from_pretrained(
        cls, *, model_id: str, revision: str | None, cache_dir: str | Path | None, force_download: bool,
        local_files_only: bool, token: str | bool | None, device: str = "cpu", **_: Any,
    ) -> PretrainedBackbone:  # fmt: skip
        folder = Path(model_id)
        if not folder.is_dir():
            folder = Path(
                snapshot_download(
                    model_id,
                    revision=revision,
                    cache_dir=cache_dir,
                    force_download=force_download,
                    token=token,
                    local_files_only=local_files_only,
                    allow_patterns=[CONFIG, WEIGHTS, TOKENIZER],
                )
            )
        checkpoint = load_checkpoint(folder, device)
        return cls(checkpoint.backbone, checkpoint.tokenizer)
