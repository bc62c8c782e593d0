"""datatrove's language filter with lid.176 as it is: documents per CPU second, and the label of each document."""

import json
import sys
import time
from pathlib import Path

import datatrove.utils.lid as lid
from datatrove.data import Document
from datatrove.pipeline.filters import LanguageFilter

request = json.loads(Path(sys.argv[1]).read_text("utf-8"))
# The one change: the model is read from a file instead of fetched.
lid.cached_asset_path_or_download = lambda *_, **__: request["model"]
judge = LanguageFilter(backend="ft176", label_only=True)
texts = json.loads(Path(request["texts"]).read_text("utf-8"))
judge.filter(Document(text="warm up", id=""))
documents = [Document(text=text, id="") for text in texts]
started = time.process_time()
for document in documents:
    judge.filter(document)
rate = len(texts) / (time.process_time() - started)
print(json.dumps({"rate": rate, "labels": [document.metadata["language"] for document in documents]}))
