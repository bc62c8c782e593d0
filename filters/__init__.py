"""Filters: scorers that add columns, filters that look at all rows at once, and the one stage that decides."""

from __future__ import annotations

from dsbuild.registry import Registry

# Score single rows; the name is the group in settings (`--set gopher.min_words=30`) and of the rules in `rules/`.
SCORERS = Registry(
    "filter",
    {
        "bitext": "dsbuild.filters.bitext_pairs:BitextPairs",
        "c4": "dsbuild.filters.c4:C4Quality",
        "classifier": "dsbuild.filters.selection:QualityClassifier",
        "document_score": "dsbuild.filters.document_score:DocumentScore",
        "entailment": "dsbuild.filters.entailment:Entailment",
        "external": "dsbuild.filters.selection:ExternalScore",
        "fineweb": "dsbuild.filters.quality:Quality",
        "gopher": "dsbuild.filters.quality:Quality",
        "language": "dsbuild.filters.identify:IdentifyRows",
        "length": "dsbuild.filters.lengths:Lengths",
        "pairs": "dsbuild.filters.pair_rules:PairRules",
        "pii": "dsbuild.filters.pii:Pii",
        "registers": "dsbuild.filters.registers:RegisterLabels",
        "repetition": "dsbuild.filters.quality:Quality",
    },
)

# Of these, the ones that compare the two texts of a pair. The others score each text; of a pair both, in columns with `_a` and `_b`.
PAIRWISE = ("bitext", "pairs")

# Look at a whole table.
TABLE_FILTERS = Registry(
    "filter",
    {
        "exact": "dsbuild.filters.exact_duplicates:FindExact",
        "neardup": "dsbuild.filters.near_duplicates:FindNear",
    },
)

# Change texts, each change with a verdict.
MENDERS = Registry("filter", {"mojibake": "dsbuild.filters.mend:MendMojibake"})

FILTERS = Registry(
    "filter", {name: one.target(name) for one in (SCORERS, TABLE_FILTERS, MENDERS) for name in one.names()}
)

# What each is, for `dsbuild list filters`.
ABOUT = {
    "bitext": "checks of translations: length, copying, script, language, loops, numbers, names, unrelated text (profile pair)",
    "c4": "C4's line rules: lines that end like sentences, boilerplate words, braces, number of sentences",
    "classifier": "a fastText classifier of texts that you name good and others (dsbuild train-classifier); a threshold or a retained share",
    "document_score": "a document score from 0 to 10 in the manner of Web Docs Scorer: segments, punctuation, digits, URLs, repetition",
    "entailment": "whether the text of a triple (subject, relation, object) states it: an NLI model, or a lexical baseline (profile triple)",
    "exact": "exact duplicates: 128-bit digests of the text up to white space; keeper by policy",
    "external": "a score column that the rows came with, from your own reranker or encoder",
    "fineweb": "FineWeb's rules: line ends, short lines, repeated lines, new lines",
    "gopher": "Gopher's quality rules: words, word lengths, symbols, bullets, letters, stop words",
    "language": "language identification with scripts and closed-class words; abstains on short texts",
    "length": "characters, letters, and the shares of letters and digits",
    "mojibake": "wrong decodings (UTF-8 read as Latin-1 or Windows-1252) mended, with a verdict for each",
    "neardup": "near duplicates: MinHash candidates, verified by the exact Jaccard index against the row that is kept",
    "pairs": "OpusFilter's rules on pairs: lengths, words, tags, scripts, full stops, digits, common substring, similarity, repetition",
    "pii": "e-mail, IP, phone, cards, Aadhaar, PAN, IFSC, UPI: counted with offsets, flagged, masked or dropped",
    "registers": "register labels by one fastText classifier for each (dsbuild.filters.registers trains them)",
    "repetition": "Gopher's repetition rules: repeated lines, paragraphs and n-grams",
}
