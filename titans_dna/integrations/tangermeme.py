"""A model as a module of one-hot sequence, for tangermeme: predict, ablate, marginalize, saturation mutagenesis.

    from tangermeme.saturation_mutagenesis import saturation_mutagenesis
    from titans_dna.integrations.tangermeme import OneHotModel

    module = OneHotModel(td.load_model("default"))          # ln P of each sequence
    saturation_mutagenesis(module, X)                       # X: (B, 4, L), rows A, C, G, T

Nothing here needs tangermeme itself; the module works with whatever takes one-hot sequence. A model reads ids and not
one-hot rows, and much of what it knows is looked up by words of ids (counted words, the copy memory), so there is no
gradient at the rows: for attributions use ``saturation_mutagenesis`` in place of ``deep_lift_shap``, which needs one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from titans_dna.api.classifier import Classifier
from titans_dna.api.model import Model
from titans_dna.errors import ConfigError
from titans_dna.inference.model import require_single_bases

OUTPUTS = ("log_likelihood", "embedding")


class OneHotModel(nn.Module):
    """A model, or a classifier made of one, that reads one-hot sequence.

    Parameters
    ----------
    model
        From `titans_dna.load_model`, or a classifier from `titans_dna.load_classifier`.
    output
        Of a model: ``log_likelihood``, ln P of the sequence in nats, (B, 1); or ``embedding``, the mean features of the
        last layer, (B, width). A classifier always gives the logits of its classes, (B, classes).
    both_strands
        Whether the output is the mean of the two strands, each read by itself.

    Raises
    ------
    ConfigError
        If the output is unknown, or the model reads tokens of several bases.
    """

    def __init__(self, model: Model | Classifier, *, output: str = "log_likelihood", both_strands: bool = True) -> None:
        super().__init__()
        if output not in OUTPUTS:
            raise ConfigError(f"output is {output!r}; choose one of {', '.join(OUTPUTS)}")
        self.output, self.both_strands = output, both_strands
        self.classifier: nn.Module | None = None
        if isinstance(model, Classifier):
            self.classifier = model._trained.net
            self.backbone, self.bos = self.classifier.backbone, self.classifier.bos
        else:
            require_single_bases(model._model, "one-hot sequences")
            self.backbone, self.bos = model._model.backbone, model._model.bos

    def forward(self, X: Tensor) -> Tensor:
        """Return the output of one-hot sequences.

        Parameters
        ----------
        X
            (B, 4, L), 1 in the row of the base; columns of zeros are N.

        Raises
        ------
        ConfigError
            If the shape is another, or a column is neither one-hot nor zero.
        """
        ids = ids_of(X)
        found = self._read(ids)
        if self.both_strands:
            found = (found + self._read(torch.where(ids < 4, 3 - ids, ids).flip(1))) / 2
        return found

    def _read(self, ids: Tensor) -> Tensor:
        known = ids < self.backbone.config.targets
        if self.classifier is not None:
            return self.classifier(ids, torch.ones_like(known))
        out = self.backbone.stream(torch.cat([torch.full_like(ids[:, :1], self.bos), ids], 1))
        if self.output == "embedding":
            features = torch.where(known.unsqueeze(-1), out.hidden[:, 1:], 0.0)
            return features.sum(1) / known.sum(1, keepdim=True).clamp_min(1)
        log_p = out.logits[:, :-1].log_softmax(-1).gather(-1, (ids * known)[..., None])[..., 0]
        return torch.where(known, log_p, 0.0).sum(1, keepdim=True)


def ids_of(one_hot: Tensor) -> Tensor:
    """Return the ids (B, L) of one-hot sequence (B, 4, L): 0 to 3 for A, C, G, T, and 4 for a column of zeros.

    Raises
    ------
    ConfigError
        If the shape is another, or a column is neither one-hot nor zero.
    """
    if one_hot.ndim != 3 or one_hot.shape[1] != 4:
        raise ConfigError(f"one-hot sequence has shape {tuple(one_hot.shape)}; give (sequences, 4, bases)")
    total = one_hot.sum(1)
    if not bool((((one_hot == 0) | (one_hot == 1)).all(1) & ((total == 0) | (total == 1))).all()):
        raise ConfigError("a column is neither one-hot nor zero; give 1 for the base and 0 for the others")
    return torch.where(total > 0, one_hot.argmax(1), 4)
