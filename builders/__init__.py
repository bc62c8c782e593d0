"""Builders compose the other rooms: sources are read, stages laid out, releases put together."""

from __future__ import annotations

from dsbuild.registry import Registry

# `--src KIND:PATH`: each kind of source is one class; nothing is imported before it is asked for.
SOURCES = Registry(
    "source",
    {
        "msmarco": "dsbuild.builders.msmarco:open_msmarco",
        "msmarco-sample": "dsbuild.builders.sample:open_sample",
        "robust04": "dsbuild.builders.robust04:Robust04Source",
        "beir": "dsbuild.builders.beir:open_beir",
        "hf": "dsbuild.builders.hub:open_hub",
        "irds": "dsbuild.builders.hub:IrdsSource",
        "tsv": "dsbuild.builders.tabular:open_files",
        "jsonl": "dsbuild.builders.tabular:open_files",
        "parquet": "dsbuild.builders.tabular:open_parquet",
    },
)

# `--rule NAME`: how hard negatives are chosen among candidates.
RULES = Registry(
    "rule",
    {
        "naive": "dsbuild.builders.rule_ranks:Naive",
        "random": "dsbuild.builders.rule_ranks:RandomInWindow",
        "shifted": "dsbuild.builders.rule_ranks:Shifted",
        "absolute": "dsbuild.builders.rule_scores:Absolute",
        "marginpos": "dsbuild.builders.rule_scores:MarginPos",
        "percpos": "dsbuild.builders.rule_scores:PercPos",
        "simans": "dsbuild.builders.rule_scores:SimANS",
        "agreement": "dsbuild.builders.rule_agreement:Agreement",
        "calibrated": "dsbuild.builders.calibrated_rule:Calibrated",
    },
)

# `--retriever NAME` or `NAME:ARGUMENT`.
RETRIEVERS = Registry(
    "retriever",
    {
        "bm25": "dsbuild.builders.bm25:BM25",
        "dense": "dsbuild.builders.dense:Dense",
        "divergence": "dsbuild.builders.divergence:Divergence",
        "feedback": "dsbuild.builders.feedback:Feedback",
        "interleave": "dsbuild.builders.fusion:Interleave",
        "likelihood": "dsbuild.builders.likelihood:Likelihood",
        "lsa": "dsbuild.builders.lsa:LSA",
        "ngrams": "dsbuild.builders.ngrams:Ngrams",
        "rrf": "dsbuild.builders.fusion:RRF",
        "run": "dsbuild.builders.run_file:RunFile",
        "words": "dsbuild.builders.word_vectors:WordVectors",
    },
)

# `dsbuild project --src KIND:FILE`: sets with labelled spans; each kind reads and writes one format.
LABELLED = Registry(
    "kind of labelled set",
    {
        "conll": "dsbuild.builders.labelled_conll:Conll",
        "essays": "dsbuild.builders.labelled_essays:Essays",
        "massive": "dsbuild.builders.labelled_massive:Massive",
        "multitacred": "dsbuild.builders.labelled_multitacred:Multitacred",
        "parquet": "dsbuild.builders.labelled_parquet:LabelledParquet",
        "spans": "dsbuild.builders.labelled_spans:SpansJson",
        "squad": "dsbuild.builders.labelled_squad:Squad",
        "tacred": "dsbuild.builders.labelled_tacred:Tacred",
        "uner": "dsbuild.builders.labelled_conllu:Uner",
        "xquad": "dsbuild.builders.labelled_squad:Squad",
        "xsid": "dsbuild.builders.labelled_conllu:Xsid",
    },
)

# `dsbuild export --to NAME`: each view is one class whose fields are its options.
EXPORTS = Registry(
    "view",
    {
        "beir": "dsbuild.builders.export_beir:Beir",
        "colbert": "dsbuild.builders.export_colbert:ColBERT",
        "flagembedding": "dsbuild.builders.export_flagembedding:FlagEmbedding",
        "mmarco": "dsbuild.builders.export_mmarco:Mmarco",
        "mteb": "dsbuild.builders.export_mteb:Mteb",
        "pylate": "dsbuild.builders.export_pylate:PyLate",
        "st-distil": "dsbuild.builders.export_sentence_transformers:Distil",
        "st-labeled": "dsbuild.builders.export_sentence_transformers:Labeled",
        "st-ntuple": "dsbuild.builders.export_sentence_transformers:NTuple",
        "st-parallel": "dsbuild.builders.export_parallel:Parallel",
        "st-triplet": "dsbuild.builders.export_sentence_transformers:Triplet",
        "tevatron": "dsbuild.builders.export_tevatron:Tevatron",
        "trec": "dsbuild.builders.export_trec:Trec",
    },
)

# `dsbuild generate TASK --style STYLE`: what a model is asked, and how its answers are read. `steps/…` come before the last step of a style.
TASKS = Registry(
    "style of a generating task",
    {
        "nli/three-way": "dsbuild.builders.pairs_nli:ThreeWay",
        "qa/indic-rag": "dsbuild.builders.qa_indic_rag:IndicRag",
        "queries/inpars": "dsbuild.builders.query_styles:InPars",
        "queries/persona": "dsbuild.builders.query_personas:Persona",
        "queries/promptagator": "dsbuild.builders.query_styles:Promptagator",
        "queries/swim-ir": "dsbuild.builders.query_styles:SwimIR",
        "queries/xqg": "dsbuild.builders.query_styles:XQG",
        "queries/zero-shot": "dsbuild.builders.query_styles:ZeroShot",
        "steps/e5-tasks": "dsbuild.builders.triplets_e5:E5Tasks",
        "steps/persona-choice": "dsbuild.builders.query_personas:PersonaChoice",
        "sts/graded": "dsbuild.builders.pairs_sts:Graded",
        "triplets/e5": "dsbuild.builders.triplets_e5:E5",
        "triplets/mme5": "dsbuild.builders.triplets_mme5:MmE5",
    },
)
