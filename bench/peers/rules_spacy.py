"""datatrove's repetition, FineWeb and Gopher filters with its English (spaCy) tokenizer: documents per CPU second."""

import json
import sys
import time
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.filters import FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter

request = json.loads(Path(sys.argv[1]).read_text("utf-8"))
# One split is cached for the three filters, as in a pipeline.
filters = (GopherRepetitionFilter(), FineWebQualityFilter(), GopherQualityFilter())
texts = request["texts"]
for judge in filters:
    judge.filter(Document(text=texts[0], id=""))
rates = []
for _ in range(request["repetitions"]):
    started = time.process_time()
    for text in texts:
        document = Document(text=text, id="")
        for judge in filters:
            judge.filter(document)
    rates.append(len(texts) / (time.process_time() - started))
print(json.dumps({"rates": rates}))
