"""Counts of what followed each word in the training sequence, as evidence beside the network.

Two tables are part of the weights. ``counts`` holds how often every word of ``order + 1`` bases occurs on either
strand, in one byte for a word and its reverse complement; sums over it give all lower orders. ``repeats`` holds, for
words of ``repeat_order`` bases that occur more than once, the base that follows them most often, in a hashed table of
bytes.

The evidence at a token is, for each order, the log-probabilities of the next base, the log of how often the word
occurs, and the surprise of the token itself; and from the repeats, the predicted base and whether the last prediction
was right. It enters the residual stream, and also the logits, with weights that depend on the final features: context
mixing, as in compressors (Mahoney 2005, PAQ8; Pratas et al. 2019, GeCo3). Evidence depends on the last ids alone, so a
stream may be cut anywhere.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from titans_dna.model.config import BackboneConfig, WordCountForm

BASES = 4
PSEUDO_COUNT = 0.4  # added to the count of each base, at every order
EXACT = 64  # smaller counts are stored as they are, larger ones by their logarithm
STEPS = 24  # codes per doubling of a large count
MULTIPLIER = 0x9E3779B97F4A7C15 - (1 << 64)  # odd: 2^64 over the golden ratio, as a signed number
CHECKS = 63  # a byte of ``repeats`` is 4 * check + base, with a check of 1 to 63; 0 marks an empty row


def decode_counts(codes: Tensor) -> Tensor:
    """Return counts, float32, from their one-byte codes."""
    values = torch.arange(256, dtype=torch.float32, device=codes.device)
    values = torch.where(values < EXACT, values, (EXACT * torch.exp2((values - EXACT) / STEPS)).round())
    return values[codes.long()]


def hash_words(words: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """Return row and check (1 to 63) of each word, given as a number; ``rows`` must be a power of two."""
    mixed = words * MULTIPLIER
    return (mixed >> 20) & (rows - 1), 1 + ((mixed >> 46) & 0x3FFF) % CHECKS


def canonical_rows(order: int, device: torch.device | None = None) -> Tensor:
    """Return, for every word of ``order + 1`` bases, the row that it shares with its reverse complement.

    A word with an odd number of bases is never its own reverse complement, since its middle base is not. The word whose
    middle base is A or C stands for both, so half the rows are enough.
    """
    # Base by base, in 32 bits: dividing four million words by each power of four takes eleven times as long.
    reverse = torch.zeros(1, dtype=torch.int32, device=device)
    last = BASES - 1 - torch.arange(BASES, dtype=torch.int32, device=device)  # the complement of each base
    for base in range(order + 1):
        reverse = (reverse[:, None] + last * BASES**base).flatten()
    word = torch.arange(BASES ** (order + 1), dtype=torch.int32, device=device)
    # In bits, the middle base stands at ``order`` and the one above; its upper bit is 0 in the word that is chosen.
    chosen = torch.where(word & (2 << order) == 0, word, reverse)
    return (chosen >> (order + 2) << (order + 1)) + (chosen & ((2 << order) - 1))


class WordCounts(nn.Module):
    """The tables, the evidence at each token, and the maps by which it enters the network."""

    counts: Tensor
    repeats: Tensor
    tables: Tensor
    repeat_tables: Tensor

    def __init__(self, config: BackboneConfig, form: WordCountForm) -> None:
        super().__init__()
        self.form = form
        self.offsets = [sum(BASES**k for k in form.orders[:i]) for i in range(len(form.orders))]
        self.register_buffer("counts", torch.zeros(BASES ** (form.order + 1) // 2, dtype=torch.uint8))
        self.register_buffer("repeats", torch.zeros(form.repeat_rows, dtype=torch.uint8))
        self.register_buffer("tables", torch.zeros(1, 0, BASES), persistent=False)
        self.register_buffer("repeat_tables", torch.zeros(1, 0, dtype=torch.uint8), persistent=False)
        orders = len(form.orders)
        self.enter = nn.Linear(6 * orders + 6, config.width, bias=False)
        self.mix = nn.Parameter(torch.zeros(orders + 1))
        self.choose = nn.Linear(config.width, orders + 1, bias=False)
        nn.init.normal_(self.enter.weight, std=0.05)
        nn.init.zeros_(self.choose.weight)
        with torch.no_grad():
            self.mix[max(0, orders - 3) : orders] = 1 / min(3, orders)
        self.register_load_state_dict_post_hook(self._after_loading)

    @staticmethod
    def _after_loading(module: WordCounts, _: object) -> None:
        if module.versions < 2:  # a training run that is resumed keeps the versions that it has just counted
            module.forget()

    @property
    def versions(self) -> int:
        """Number of versions of the tables that are held; 0 before the first use."""
        return self.tables.shape[0] if self.tables.numel() else 0

    def forget(self) -> None:
        """Read the stored tables when next called."""
        self.tables, self.repeat_tables = self.tables[:, :0], self.repeat_tables[:, :0]

    @torch.inference_mode(False)
    @torch.no_grad()
    def use(self, versions: list[tuple[Tensor, Tensor]]) -> None:
        """Read these tables (codes of counts, repeats) from now on."""
        device, form = self.counts.device, self.form
        canonical = canonical_rows(form.order, device)
        tables = []
        for codes, _ in versions:
            # Counts of a shorter word are sums over the base before it, so only the longest words are stored. They are
            # exact: a float32 would lose ones above 2^24.
            counts, parts = decode_counts(codes.to(device))[canonical].double(), {}
            for order in range(form.order, min(form.orders) - 1, -1):
                counts = counts.view(-1, BASES**order, BASES).sum(0)
                parts[order] = counts.float()
            tables.append(torch.cat([parts[order] for order in form.orders]))
        self.tables = torch.stack(tables)
        self.repeat_tables = torch.stack([repeats.to(device) for _, repeats in versions])

    def store(self, counts: Tensor, repeats: Tensor) -> None:
        """Make these tables (codes of counts, repeats) part of the weights, and read them from now on."""
        self.counts.copy_(counts)
        self.repeats.copy_(repeats)
        self.forget()

    def forward(
        self, ids: Int[Tensor, "B T"], recent: Tensor, versions: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B T E"]:
        """Return the evidence at each token; ``recent`` holds at least ``form.reach`` earlier ids.

        ``versions`` says which of several tables each sample reads; if it is left out, all samples read the last one.
        """
        if not self.versions:
            self.use([(self.counts, self.repeats)])
        whole = torch.cat([recent[:, recent.shape[1] - self.form.reach :], ids.long()], 1)
        known, words = whole < BASES, {}
        reach, tokens = self.form.reach, ids.shape[1] + 1  # words that end at the token before the first, too
        word = torch.zeros_like(whole[:, reach - 1 :])
        full = torch.ones_like(word, dtype=torch.bool)
        for back in range(max(self.form.order, self.form.repeat_order)):
            piece = slice(reach - 1 - back, reach - 1 - back + tokens)
            word = word + (whole[:, piece] % BASES) * BASES**back
            full = full & known[:, piece]
            words[back + 1] = (word, full)
        if versions is None:
            versions = torch.full((1,), self.versions - 1, device=ids.device)
        seen = whole[:, reach:]
        return torch.cat([self._orders(seen, words, versions), self._repeats(seen, words, versions)], -1)

    def _orders(self, ids: Tensor, words: dict[int, tuple[Tensor, Tensor]], versions: Tensor) -> Tensor:
        """Return log-probabilities (4 per order), log counts and surprises (1 per order each)."""
        rows = torch.stack([words[k][0] + at for k, at in zip(self.form.orders, self.offsets, strict=True)], -1)
        full = torch.stack([words[k][1] for k in self.form.orders], -1)
        rows = torch.where(full, rows, 0) + versions.view(-1, 1, 1) * self.tables.shape[1]
        counts = self.tables.flatten(0, 1)[rows]
        total = counts.sum(-1, keepdim=True)
        # The pseudo-count keeps a base that was not seen from having a probability of 0.
        log_p = ((counts + PSEUDO_COUNT) / (total + BASES * PSEUDO_COUNT)).log() * full.unsqueeze(-1)
        # Scaled so that even frequent words give numbers near those of the other features.
        seen = total.squeeze(-1).log1p() * 0.2 * full
        token = ids.where(ids < BASES, 0)[..., None, None].expand(-1, -1, len(self.form.orders), 1)
        surprise = -log_p[:, :-1].gather(-1, token).squeeze(-1) * (ids < BASES).unsqueeze(-1)
        return torch.cat([log_p[:, 1:].flatten(2), seen[:, 1:], surprise], -1)

    def _repeats(self, ids: Tensor, words: dict[int, tuple[Tensor, Tensor]], versions: Tensor) -> Tensor:
        """Return the predicted base (4 numbers), and whether the token was predicted rightly or wrongly (2)."""
        word, full = words[self.form.repeat_order]
        # Words of this length are too many for a table of their own. The check tells nearly always whether the row
        # belongs to another word.
        row, check = hash_words(word, self.form.repeat_rows)
        found = self.repeat_tables.flatten()[row + versions.view(-1, 1) * self.form.repeat_rows].long()
        hit = full & (found >> 2 == check)
        base = torch.nn.functional.one_hot(found & 3, BASES) * hit.unsqueeze(-1)
        right = hit[:, :-1] & (found[:, :-1] & 3 == ids)
        wrong = hit[:, :-1] & (found[:, :-1] & 3 != ids)
        return torch.cat([base[:, 1:], right.unsqueeze(-1), wrong.unsqueeze(-1)], -1).float()

    def logits(self, hidden: Float[Tensor, "B T N"], evidence: Float[Tensor, "B T E"]) -> Float[Tensor, "B T 4"]:
        """Return what the evidence adds to the logits: its log-probabilities, with weights that the features choose."""
        orders = len(self.form.orders)
        weights = (self.mix + self.choose(hidden)).float()
        spoken = torch.cat([evidence[..., : BASES * orders], evidence[..., 6 * orders : 6 * orders + BASES]], -1)
        return (weights.unsqueeze(-1) * spoken.unflatten(-1, (orders + 1, BASES))).sum(-2)
