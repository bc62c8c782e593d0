"""Builders compose the other rooms: sources are read, stages laid out, releases put together."""

from __future__ import annotations

from dsbuild.registry import Registry

# `--src KIND:PATH`: each kind of source is one class; nothing is imported before it is asked for.
SOURCES = Registry(
    "source",
    {
        "msmarco": "dsbuild.builders.sources.msmarco:open_msmarco",
        "msmarco-sample": "dsbuild.builders.sources.sample:open_sample",
        "robust04": "dsbuild.builders.sources.robust04:Robust04Source",
        "beir": "dsbuild.builders.sources.beir:open_beir",
        "hf": "dsbuild.builders.sources.hub:open_hub",
        "irds": "dsbuild.builders.sources.hub:IrdsSource",
        "tsv": "dsbuild.builders.sources.tabular:open_files",
        "jsonl": "dsbuild.builders.sources.tabular:open_files",
        "parquet": "dsbuild.builders.sources.tabular:open_parquet",
        "release": "dsbuild.builders.sources.opened:open_release",
    },
)

# `--rule NAME`: how hard negatives are chosen among candidates.
RULES = Registry(
    "rule",
    {
        "naive": "dsbuild.builders.mining.rule_ranks:Naive",
        "random": "dsbuild.builders.mining.rule_ranks:RandomInWindow",
        "shifted": "dsbuild.builders.mining.rule_ranks:Shifted",
        "absolute": "dsbuild.builders.mining.rule_scores:Absolute",
        "marginpos": "dsbuild.builders.mining.rule_scores:MarginPos",
        "percpos": "dsbuild.builders.mining.rule_scores:PercPos",
        "simans": "dsbuild.builders.mining.rule_scores:SimANS",
        "agreement": "dsbuild.builders.mining.rule_agreement:Agreement",
        "calibrated": "dsbuild.builders.mining.calibrated_rule:Calibrated",
    },
)

# `--retriever NAME` or `NAME:ARGUMENT`.
RETRIEVERS = Registry(
    "retriever",
    {
        "bm25": "dsbuild.builders.retrieval.bm25:BM25",
        "dense": "dsbuild.builders.retrieval.dense:Dense",
        "divergence": "dsbuild.builders.retrieval.divergence:Divergence",
        "feedback": "dsbuild.builders.retrieval.feedback:Feedback",
        "interleave": "dsbuild.builders.retrieval.fusion:Interleave",
        "likelihood": "dsbuild.builders.retrieval.likelihood:Likelihood",
        "lsa": "dsbuild.builders.retrieval.lsa:LSA",
        "ngrams": "dsbuild.builders.retrieval.ngrams:Ngrams",
        "rrf": "dsbuild.builders.retrieval.fusion:RRF",
        "run": "dsbuild.builders.retrieval.run_file:RunFile",
        "words": "dsbuild.builders.retrieval.word_vectors:WordVectors",
    },
)

# `dsbuild project --src KIND:FILE`: sets with labelled spans; each kind reads and writes one format.
LABELLED = Registry(
    "kind of labelled set",
    {
        "conll": "dsbuild.builders.labelled.conll:Conll",
        "essays": "dsbuild.builders.labelled.essays:Essays",
        "massive": "dsbuild.builders.labelled.massive:Massive",
        "multitacred": "dsbuild.builders.labelled.multitacred:Multitacred",
        "parquet": "dsbuild.builders.labelled.parquet:LabelledParquet",
        "spans": "dsbuild.builders.labelled.spans_json:SpansJson",
        "squad": "dsbuild.builders.labelled.squad:Squad",
        "tacred": "dsbuild.builders.labelled.tacred:Tacred",
        "uner": "dsbuild.builders.labelled.conllu:Uner",
        "xquad": "dsbuild.builders.labelled.squad:Squad",
        "xsid": "dsbuild.builders.labelled.conllu:Xsid",
    },
)

# `dsbuild export --to NAME`: each view is one class whose fields are its options.
EXPORTS = Registry(
    "view",
    {
        "beir": "dsbuild.builders.exports.beir:Beir",
        "colbert": "dsbuild.builders.exports.colbert:ColBERT",
        "flagembedding": "dsbuild.builders.exports.flagembedding:FlagEmbedding",
        "mmarco": "dsbuild.builders.exports.mmarco:Mmarco",
        "mteb": "dsbuild.builders.exports.mteb:Mteb",
        "pylate": "dsbuild.builders.exports.pylate:PyLate",
        "st-distil": "dsbuild.builders.exports.sentence_transformers:Distil",
        "st-labeled": "dsbuild.builders.exports.sentence_transformers:Labeled",
        "st-ntuple": "dsbuild.builders.exports.sentence_transformers:NTuple",
        "st-parallel": "dsbuild.builders.exports.parallel:Parallel",
        "st-triplet": "dsbuild.builders.exports.sentence_transformers:Triplet",
        "tevatron": "dsbuild.builders.exports.tevatron:Tevatron",
        "trec": "dsbuild.builders.exports.trec:Trec",
    },
)

# `dsbuild generate TASK --style STYLE`: what a model is asked, and how its answers are read. `steps/…` come before the last step of a style.
TASKS = Registry(
    "style of a generating task",
    {
        "nli/three-way": "dsbuild.builders.generation.pairs_nli:ThreeWay",
        "qa/indic-rag": "dsbuild.builders.generation.qa_indic_rag:IndicRag",
        "queries/inpars": "dsbuild.builders.generation.query_styles:InPars",
        "queries/persona": "dsbuild.builders.generation.query_personas:Persona",
        "queries/promptagator": "dsbuild.builders.generation.query_styles:Promptagator",
        "queries/swim-ir": "dsbuild.builders.generation.query_styles:SwimIR",
        "queries/xqg": "dsbuild.builders.generation.query_styles:XQG",
        "queries/zero-shot": "dsbuild.builders.generation.query_styles:ZeroShot",
        "steps/e5-tasks": "dsbuild.builders.generation.triplets_e5:E5Tasks",
        "steps/persona-choice": "dsbuild.builders.generation.query_personas:PersonaChoice",
        "sts/graded": "dsbuild.builders.generation.pairs_sts:Graded",
        "triplets/e5": "dsbuild.builders.generation.triplets_e5:E5",
        "triplets/mme5": "dsbuild.builders.generation.triplets_mme5:MmE5",
    },
)
